/** A real Prometheus of a test's own, which scrapes what the test serves by the rules in ops/. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findTool } from "../../src/base/tools.fixture.js";

export const prometheus = findTool("prometheus", ["prometheus"]);

const ops = new URL("../../ops/", import.meta.url).pathname;

/** Of an alert that is pending or firing. */
export interface ActiveAlert {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface FoundSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address ? address.port : 0;
}

/**
 * The rules of ops/alerts.yaml for a test that does not wait for minutes: the same but for how long a condition must hold (`for:`) and
 * for how long a run must be silent.
 */
export async function hastyRules(): Promise<string> {
  const rules = await readFile(join(ops, "alerts.yaml"), "utf8");
  return rules
    .replace(/^( *for:) \d+m$/gm, "$1 1s")
    .replace("_timestamp_seconds > 120", "_timestamp_seconds > 6");
}

export class Prometheus {
  readonly #root: string;
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(root: string, child: ChildProcess, url: string) {
    this.#root = root;
    this.#child = child;
    this.#url = url;
  }

  /**
   * Scrapes once a second, and evaluates the rules as often.
   * @param ports where there is, or will be, something to scrape on this machine
   * @param rules text of the rules; default: those of ops/alerts.yaml as they are
   */
  static async start(ports: readonly number[], rules?: string): Promise<Prometheus> {
    const root = await mkdtemp(join(tmpdir(), "kasmina-prometheus-"));
    const [config, own] = await Promise.all(
      ["prometheus.yaml", "alerts.yaml"].map((name) => readFile(join(ops, name), "utf8")),
    );
    const targets = ports.map((port) => `"127.0.0.1:${port}"`).join(", ");
    const hasty = (config ?? "").replaceAll("5s", "1s").replace('"127.0.0.1:9464"', targets);
    await writeFile(join(root, "prometheus.yaml"), hasty);
    await writeFile(join(root, "alerts.yaml"), rules ?? own ?? "");
    const address = `127.0.0.1:${await freePort()}`;
    const options = [`--web.listen-address=${address}`, `--storage.tsdb.path=${join(root, "data")}`];
    const child = spawn(prometheus ?? "", [`--config.file=${join(root, "prometheus.yaml")}`, ...options], {
      stdio: "ignore",
    });
    return new Prometheus(root, child, `http://${address}`);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    await rm(this.#root, { recursive: true, force: true });
  }

  async series(query: string): Promise<readonly FoundSeries[]> {
    return ((await this.#ask(`query?query=${encodeURIComponent(query)}`)).result ?? []) as FoundSeries[];
  }

  async alerts(): Promise<readonly ActiveAlert[]> {
    return ((await this.#ask("alerts")).alerts ?? []) as ActiveAlert[];
  }

  /** Names of the alerts that fire, for a run or for all. */
  async firing(run?: string): Promise<readonly string[]> {
    const firing = (await this.alerts()).filter(
      ({ state, labels }) => state === "firing" && (run === undefined || labels.run === run),
    );
    return [...new Set(firing.map(({ labels }) => labels.alertname ?? ""))].sort();
  }

  async #ask(path: string): Promise<{ readonly result?: unknown; readonly alerts?: unknown }> {
    try {
      const answer = (await (await fetch(`${this.#url}/api/v1/${path}`)).json()) as { data?: object };
      return answer.data ?? {};
    } catch {
      return {}; // not up yet
    }
  }
}
