/** A real Prometheus scrapes a real run: its series, an alert that is injected, and the end of all of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findTool } from "../src/base/tools.fixture.js";
import { kasmina, type Running, start } from "./kasmina.js";

const prometheus = findTool("prometheus", ["prometheus"]);
const ops = new URL("../ops/", import.meta.url).pathname;

let root = "";
let run: Running | undefined;
let server: ChildProcess | undefined;
let api = "";

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address ? address.port : 0;
}

async function ask(path: string): Promise<{ data?: { result?: unknown[]; alerts?: unknown[] } }> {
  try {
    return (await (await fetch(`${api}${path}`)).json()) as never;
  } catch {
    return {}; // not up yet
  }
}

const series = async (query: string): Promise<readonly unknown[]> =>
  (await ask(`/api/v1/query?query=${encodeURIComponent(query)}`)).data?.result ?? [];
const alerts = async (): Promise<readonly unknown[]> => (await ask("/api/v1/alerts")).data?.alerts ?? [];

beforeAll(async () => {
  if (!prometheus) return;
  root = await mkdtemp(join(tmpdir(), "kasmina-prometheus-"));
  const [metrics, port] = [await freePort(), await freePort()];
  run = start(
    [
      "grow",
      "--data",
      "spirals",
      "--epochs",
      "100000",
      "--metrics",
      `127.0.0.1:${metrics}`,
      "--run-dir",
      "run",
    ],
    root,
  );
  const config = await readFile(join(ops, "prometheus.yaml"), "utf8");
  await writeFile(
    join(root, "prometheus.yaml"),
    config.replaceAll("9464", String(metrics)).replaceAll("5s", "1s"),
  );
  await cp(join(ops, "alerts.yaml"), join(root, "alerts.yaml"));
  api = `http://127.0.0.1:${port}`;
  const options = [`--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${join(root, "data")}`];
  server = spawn(prometheus, [`--config.file=${join(root, "prometheus.yaml")}`, ...options], {
    stdio: "ignore",
  });
});
afterAll(async () => {
  for (const child of [run?.child, server]) {
    if (!child || child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  if (root !== "") await rm(root, { recursive: true, force: true });
});

test.skipIf(!prometheus)("a run is scraped, and its seeds are among the series", async () => {
  await expect.poll(() => series("kasmina_run_steps > 0")).toHaveLength(1);
  await expect.poll(() => series("kasmina_seed_alpha")).not.toHaveLength(0);
  await expect.poll(() => series("tolaria_held_out_loss")).toHaveLength(1);
});

test.skipIf(!prometheus)("an emergency fires its alert, which names its place in the runbook", async () => {
  expect(await alerts()).toEqual([]);
  expect(await kasmina(["emergency", "pause-growth", "--run-dir", "run"], root)).toMatchObject({ code: 0 });
  await expect.poll(alerts).toContainEqual(
    expect.objectContaining({
      state: "firing",
      labels: expect.objectContaining({ alertname: "KasminaEmergency", severity: "critical" }),
      annotations: expect.objectContaining({ runbook: "docs/operations.md#emergency" }),
    }),
  );
});

test.skipIf(!prometheus)("its series end with the run", async () => {
  run?.child.kill("SIGKILL");
  await expect.poll(() => series("kasmina_run_steps")).toEqual([]);
});
