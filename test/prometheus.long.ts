/** A real Prometheus scrapes real runs: their series, the alert of each fault that is injected, and the end of all of it. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { batchesWithNaN } from "../bench/soak/faults.js";
import { DependencyViolationError, systemClock } from "../src/base/index.js";
import { findTool } from "../src/base/tools.fixture.js";
import {
  type CommandDraft,
  CommandSigner,
  type Kernel,
  type KernelRequest,
  KeyRing,
} from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import { openHole } from "../src/network/isolation/leaks.fixture.js";
import { type GrowOptions, grow, lineCallbacks, type RunControl } from "../src/weatherlight/index.js";
import { serveHttp } from "../src/weatherlight/telemetry/http-server.node.js";
import { MetricSeries, SeriesReports } from "../src/weatherlight/telemetry/metric-series.js";
import { PrometheusExporter } from "../src/weatherlight/telemetry/prometheus.node.js";
import { packetOf, RUN } from "../src/weatherlight/telemetry/telemetry.fixture.js";
import { watchRun } from "../src/weatherlight/telemetry/watched-run.node.js";
import { kasmina, type Running, start } from "./kasmina.js";
import { KERNELS_AT_ONCE, kernelOf } from "./support/held-kernels.js";
import { freePort, hastyRules, Prometheus, prometheus } from "./support/prometheus.js";
import { ScriptedPolicy, type ScriptedSeed } from "./support/scripted-growth.js";

const promtool = findTool("prometheus", ["promtool"]);
const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(1) }]);
const strangers = new KeyRing([{ id: "k2", secret: new Uint8Array(32).fill(2) }]);
const dataset = makeSpirals({ seed: 3, train: 600, test: 100 });

const seedAt = (slot: number, until: ScriptedSeed["until"] = "TRAINING"): ScriptedSeed => ({
  seedId: `s${slot}`,
  slotId: `block${slot}`,
  blueprintId: "mlp-residual",
  parameters: { hidden: 8 },
  until,
});

/** A run of this process that goes on until it is stopped, on an engine that leaves room for others between two steps. */
class WatchedRun {
  readonly #stop = new AbortController();
  readonly #watched: Awaited<ReturnType<typeof watchRun>>;
  readonly #ended: Promise<unknown>;
  readonly #id: string;
  #control: RunControl | undefined;
  #sent = 0;

  private constructor(id: string, watched: Awaited<ReturnType<typeof watchRun>>, options: GrowOptions) {
    this.#id = id;
    this.#watched = watched;
    const reports = new SeriesReports(watched.onSeries);
    this.#ended = grow({
      data: dataset,
      engine: "wasm",
      epochs: 100_000,
      batch: 60,
      seed: 5,
      runId: id,
      policy: new ScriptedPolicy([]),
      kernels: KERNELS_AT_ONCE,
      keys,
      signal: this.#stop.signal,
      ...lineCallbacks(watched.onLine),
      onPacket: (packet) => reports.record(packet),
      onControl: (control) => {
        this.#control = control;
      },
      ...options,
    }).catch((error: unknown) => error);
  }

  /** @param options instead of those of a sound run */
  static async begin(id: string, port: number, options: GrowOptions = {}): Promise<WatchedRun> {
    return new WatchedRun(id, await watchRun(String(port), () => undefined), options);
  }

  order(draft: Pick<CommandDraft, "order" | "seedId" | "slotId" | "expectedStage">, signedWith = keys): void {
    const signer = new CommandSigner({ keys: signedWith, clock: systemClock });
    const command = { commandId: `c${++this.#sent}`, trainingRunId: this.#id, issuedBy: "test", ...draft };
    this.#control?.send(signer.sign(command), () => undefined);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    await this.#watched.close();
  }
}

/** Each alert, and the fault that is injected into a run until it fires. */
interface Fault {
  readonly alert: string;
  readonly what: string;
  readonly options?: GrowOptions;
  /** Once the run is scraped. */
  readonly inject?: (run: WatchedRun) => void | Promise<void>;
}

const TWENTY = [...Array(20).keys()];

/** From when on a batch, a kernel or a row goes wrong: a run is scraped first. */
let isBroken = false;
const slowKernels = {
  ...KERNELS_AT_ONCE,
  fetch: (request: KernelRequest) =>
    new Promise<Kernel>((done) => setTimeout(() => done(kernelOf(request)), 4_000)),
};
const broken = {
  ...dataset.heldOut,
  inputs: new Float32Array(dataset.heldOut.inputs.length).fill(Number.NaN),
};
/** Once something is broken, each observation germinates one after the other. */
const germinating = (seeds: readonly ScriptedSeed[]): ScriptedPolicy => {
  const policy = new ScriptedPolicy(seeds);
  const decide = policy.decide.bind(policy);
  policy.decide = (state) => (isBroken ? decide(state) : []);
  return policy;
};

const FAULTS: readonly Fault[] = [
  {
    alert: "KasminaIsolationBroken",
    what: "a blueprint that shares a parameter of its host",
    options: (() => {
      const { host, sharing } = openHole({ ...dataset, width: 8 });
      const seed = { ...seedAt(2), blueprintId: "sharing", parameters: {}, until: "BLENDING" } as const;
      const gates = { confidence: 0, minShadowGain: -100, divergenceRatio: 1e6 };
      const limits = { kernel: { latencyBudgetMs: 600_000 }, leadSteps: 2, gates };
      return {
        host,
        blueprints: [sharing],
        policy: germinating([seed]),
        kernels: { ...KERNELS_AT_ONCE, fetch: async (request) => kernelOf(request, sharing) },
        limits,
      };
    })(),
  },
  {
    alert: "KasminaRollback",
    what: "a batch of NaN",
    options: { batches: batchesWithNaN((step) => isBroken && step % 500 === 0) },
  },
  {
    alert: "KasminaLossNotFinite",
    what: "held-out rows of NaN",
    options: { data: { ...dataset, heldOut: broken } },
  },
  {
    alert: "KasminaCommandsRefused",
    what: "twenty commands at once that a stranger signed",
    inject: (run) => {
      const order = { kind: "EMERGENCY", level: "HALT", reason: "none" } as const;
      for (const _ of TWENTY) run.order({ order }, strangers);
    },
  },
  {
    alert: "KasminaEmergency",
    what: "an order to pause growth",
    inject: (run) => run.order({ order: { kind: "EMERGENCY", level: "PAUSE_GROWTH", reason: "a test" } }),
  },
  {
    alert: "KasminaKernelsFail",
    what: "three kernels that cannot be had",
    options: {
      policy: germinating([1, 2, 3].map((slot) => seedAt(slot))),
      kernels: {
        ...KERNELS_AT_ONCE,
        fetch: () => Promise.reject(new DependencyViolationError("an injected fault")),
      },
    },
  },
  {
    alert: "KasminaBreakerOpen",
    what: "an order to open the breaker",
    inject: (run) => run.order({ order: { kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "open" } }),
  },
  {
    alert: "KasminaGatesFail",
    what: "orders for a blueprint that there is not, again and again",
    options: { limits: { embargoMs: 0 } },
    inject: async (run) => {
      const order = { kind: "SEED", operation: "GERMINATE", blueprintId: "none-such" } as const;
      for (const i of TWENTY) {
        run.order({ order, seedId: `s${i}`, slotId: "block1" });
        await new Promise((done) => setTimeout(done, 300));
      }
    },
  },
  {
    alert: "KasminaTelemetryDropped",
    what: "more orders for a seed at once than events of it may wait",
    options: { limits: { telemetry: { pendingEvents: 2 } }, policy: new ScriptedPolicy([seedAt(1)]) },
    inject: (run) => {
      const order = { kind: "SEED", operation: "START_SHADOWING" } as const;
      for (const _ of TWENTY) run.order({ order, seedId: "s1", expectedStage: "BLENDING" });
    },
  },
  {
    alert: "KasminaNoncesForgotten",
    what: "more commands than nonces are remembered",
    options: { limits: { nonceLedger: { capacity: 5 } } },
    inject: (run) => {
      for (const _ of TWENTY) run.order({ order: { kind: "OPTIMIZER", learningRate: 0.001 } });
    },
  },
  {
    alert: "KasminaRunSilent",
    what: "a run that waits for a kernel for ever",
    options: {
      policy: germinating([seedAt(1)]),
      kernels: { ...KERNELS_AT_ONCE, fetch: () => new Promise(() => undefined) },
      limits: { kernel: { prefetchDeadlineMs: 600_000 } },
    },
  },
  {
    alert: "KasminaGraftsStall",
    what: "kernels that come too late",
    options: {
      policy: germinating([1, 2].map((slot) => seedAt(slot))),
      kernels: slowKernels,
      limits: { leadSteps: 2, kernel: { prefetchDeadlineMs: 600_000 } },
    },
  },
];

describe.skipIf(!prometheus)("a run with a fault", () => {
  const ports: number[] = [];
  let server: Prometheus;
  let sound: WatchedRun;
  beforeAll(async () => {
    for (let i = 0; i <= FAULTS.length; i++) ports.push(await freePort());
    server = await Prometheus.start(ports, await hastyRules());
    sound = await WatchedRun.begin("sound", ports[FAULTS.length] ?? 0, {
      policy: new ScriptedPolicy([seedAt(1)]),
    });
  });
  afterAll(async () => {
    await sound?.stop();
    await server?.stop();
  });

  test.each(FAULTS.map((fault, i) => ({ ...fault, i })))("$alert: $what", async ({ alert, i, ...fault }) => {
    isBroken = false;
    const run = await WatchedRun.begin(alert, ports[i] ?? 0, fault.options);
    await expect.poll(() => server.series(`kasmina_run_steps{run="${alert}"} > 0`)).toHaveLength(1);
    // What is wrong from the first step on cannot be held back.
    if (alert !== "KasminaLossNotFinite") expect(await server.firing(alert)).toEqual([]);
    isBroken = true;
    await fault.inject?.(run);
    await expect.poll(() => server.firing(alert)).toContain(alert);
    const fired = (await server.alerts()).find(({ labels }) => labels.alertname === alert);
    expect(fired?.annotations.runbook).toMatch(/^docs\/operations\.md#/);
    expect(await server.firing("sound")).toEqual([]);
    await run.stop();
  });

  test("was of every kind that there are rules for", async () => {
    const rules = [...(await hastyRules()).matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(FAULTS.map(({ alert }) => alert).sort()).toEqual(rules.sort());
  });
});

describe.skipIf(!prometheus)("series end", () => {
  let server: Prometheus;
  const ports: number[] = [];
  beforeAll(async () => {
    for (let i = 0; i < 3; i++) ports.push(await freePort());
    server = await Prometheus.start(ports);
  });
  afterAll(() => server?.stop());

  test("with their seed", async () => {
    const policy = new ScriptedPolicy([seedAt(1), seedAt(2)]);
    const limits = { embargoMs: 0, kernel: { latencyBudgetMs: 600_000 } };
    const run = await WatchedRun.begin("culling", ports[0] ?? 0, { policy, limits });
    const seeds = async (): Promise<(string | undefined)[]> =>
      (await server.series(`kasmina_seed_alpha{run="culling"}`)).map(({ metric }) => metric.seed).sort();
    await expect.poll(seeds).toEqual(["s1", "s2"]);
    await expect
      .poll(async () => {
        run.order({ order: { kind: "SEED", operation: "CULL" }, seedId: "s1" });
        return seeds();
      })
      .toEqual(["s2"]);
    expect(await server.series(`{run="culling", seed="s1"}`)).toEqual([]);
    await run.stop();
    await expect.poll(() => server.series(`{run="culling"}`)).toEqual([]);
  });

  test("with 10,000 seeds, one after the other: nothing of them is left in a scrape", async () => {
    const exporter = new PrometheusExporter();
    const scraped = await serveHttp(
      { "/metrics": () => exporter.render() },
      { host: "127.0.0.1", port: ports[1] ?? 0 },
    );
    const series = new MetricSeries();
    for (let seed = 0; seed < 10_000; seed++) {
      const metrics = [{ name: "kasmina.seed.alpha", value: 0.5 }] as const;
      series.record(packetOf({ seedId: `seed-${seed}`, metrics, atMs: Date.now() }));
      exporter.apply(series.take());
      // Prometheus looks in between, while some live.
      if (seed % 100 === 0) await new Promise((done) => setTimeout(done, 100));
      series.record(packetOf({ seedId: `seed-${seed}`, retired: true, atMs: Date.now() }));
      exporter.apply(series.take());
    }
    await expect
      .poll(() => server.series(`count_over_time({run="${RUN}", seed=~".+"}[10m])`))
      .not.toEqual([]);
    await expect.poll(() => server.series(`{run="${RUN}", seed=~".+"}`)).toEqual([]);
    const text = (await exporter.render()).text;
    expect(text).not.toContain("seed-");
    await expect
      .poll(() => server.series(`scrape_samples_scraped{instance="127.0.0.1:${ports[1]}"} < 120`))
      .toHaveLength(1);
    await scraped.close();
  });

  test("with their run, which was started from the command line", async () => {
    const root = await mkdtemp(join(tmpdir(), "kasmina-prometheus-"));
    const where = ["--metrics", `127.0.0.1:${ports[2]}`, "--run-dir", "run"];
    const run: Running = start(["grow", "--data", "spirals", "--epochs", "100000", ...where], root);
    try {
      await expect.poll(() => server.series("kasmina_run_steps > 0")).toHaveLength(1);
      await expect.poll(() => server.series("kasmina_seed_alpha")).not.toHaveLength(0);
      await expect.poll(() => server.series("tolaria_held_out_loss")).toHaveLength(1);
      if (promtool) {
        const input = await (await fetch(`http://127.0.0.1:${ports[2]}/metrics`)).text();
        expect(execFileSync(promtool, ["check", "metrics"], { input, encoding: "utf8" })).toBe("");
      }
      expect(await kasmina(["emergency", "pause-growth", "--run-dir", "run"], root)).toMatchObject({
        code: 0,
      });
      // By the rules as they are.
      await expect.poll(() => server.firing()).toEqual(["KasminaEmergency"]);
    } finally {
      run.child.kill("SIGKILL");
      await run.finished;
      await rm(root, { recursive: true });
    }
    await expect.poll(() => server.series("kasmina_run_steps")).toEqual([]);
  });
});
