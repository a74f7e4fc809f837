/** Seeds that their gates refuse for what they cost, or for what they are: each through a whole run, and its replay. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { KasminaError } from "../../base/index.js";
import { enginePrewarmer, type Prewarmer } from "../../catalog/index.js";
import type { TelemetryEvent } from "../../contracts/index.js";
import { openBackend } from "../../engine/index.js";
import { type KasminaConfigInput, MemoryJournal, parseConfig } from "../../kasmina/index.js";
import type { RunSetup } from "../grow/run-setup.js";
import { optionsFor } from "../grow/train-run.fixture.js";
import { trainRun } from "../grow/train-run.js";
import { KernelService } from "./kernel-service.js";

const { backend } = await openBackend("native", { threads: 1 });
afterAll(() => backend.dispose());

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-refused-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Gates that let a seed through, but for what it costs; the embargo lasts to the end of the run. */
function limits(kernel: KasminaConfigInput["kernel"] = {}) {
  return parseConfig({
    kernel: { latencyBudgetMs: 600_000, ...kernel },
    gates: { confidence: 0, minShadowGain: -1, minContribution: -1 },
  });
}

/** Kernels of a catalog in `root`. */
function serviceWith(prewarmer?: Prewarmer): Promise<KernelService> {
  return KernelService.open({
    trainingRunId: "test-run",
    seed: 5,
    catalogDir: root,
    backend,
    batch: 60,
    config: limits(),
    ...(prewarmer && { prewarmer }),
  });
}

const measured = enginePrewarmer(backend, { batch: 60, runs: 5 });
const taking =
  (ms: number): Prewarmer =>
  async (candidate) => ({ ...(await measured(candidate)), p50Ms: ms, p95Ms: ms });

async function run(options: Partial<RunSetup>) {
  const events: TelemetryEvent[] = [];
  const losses: number[] = [];
  const result = await trainRun({
    ...optionsFor(backend),
    epochs: 6,
    config: limits(),
    onLoss: (_, loss) => void losses.push(loss),
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return { result, events, losses };
}

type Trail = Awaited<ReturnType<typeof run>>;

/** A CRITICAL gate failure for that reason, the seed culled and embargoed, nothing of it left in the network. */
function expectRefused({ events, result }: Trail, gate: string, reason: string): void {
  expect(events.filter(({ name }) => name === "gate_failure")).toMatchObject([
    { level: "CRITICAL", attributes: { gate, reason, seed_id: "seed-1", blueprint_id: "mlp-residual" } },
  ]);
  const stages = events
    .filter(({ name, attributes }) => name === "seed_stage" && attributes.seed_id !== "seed-2")
    .map(({ attributes }) => attributes.to);
  expect(stages.slice(-2)).toEqual(["CULLED", "EMBARGOED"]);
  expect(result.end).toBe("finished");
  expect(Object.keys(result.checkpoint.tensors).filter((path) => path.includes("seed-1"))).toEqual([]);
}

/** The same commands and fetch results again, on a machine whose kernels are others: the same run to the last bit. */
async function expectReplayed(whole: Trail, journal: MemoryJournal, options: Partial<RunSetup>) {
  const again = await run({ ...options, journal, policy: null, replay: true });
  expect(again.losses).toEqual(whole.losses);
  expect(again.result.checkpoint.tensors).toEqual(whole.result.checkpoint.tensors);
  expect(
    again.events.filter(({ name }) => name === "gate_failure").map(({ attributes }) => attributes),
  ).toEqual(whole.events.filter(({ name }) => name === "gate_failure").map(({ attributes }) => attributes));
}

describe("a seed that its gate refuses in a whole run", () => {
  test("its worker could not build the kernel and took another one", async () => {
    const other = await serviceWith(measured);
    await other.fetch(
      {
        requestId: "r0",
        blueprintId: "mlp-residual",
        parameters: { hidden: 4 },
        trainingRunId: "test-run",
        seedId: "seed-1",
        slot: { id: "block1", shape: [8], depth: 1 },
        issuedAtMs: 0,
      },
      new AbortController().signal,
    );
    await other.close();
    let hasBegun = false;
    const kernels = await serviceWith((candidate) =>
      hasBegun && candidate.parameters.hidden === 16
        ? Promise.reject(new KasminaError("invalid_data", "mlp-residual gives NaN"))
        : measured(candidate),
    );
    const journal = new MemoryJournal();
    const begin = (): void => {
      hasBegun = true;
    };
    const whole = await run({ kernels, journal, onControl: begin });
    await kernels.close();
    expect(whole.events).toContainEqual(
      expect.objectContaining({
        name: "prefetch_ready",
        level: "WARNING",
        attributes: expect.objectContaining({ fallback_used: true }),
      }),
    );
    expect(journal.fetchResults).toMatchObject([{ found: { status: "attached", fallbackUsed: true } }]);
    expectRefused(whole, "G0_SANITY", "fallback_kernel_used");
    await expectReplayed(whole, journal, {});
  });

  test("its kernel takes longer than the latency budget", async () => {
    const config = limits({ latencyBudgetMs: 10 });
    const [slow, fast] = [await serviceWith(taking(10.5)), await serviceWith(taking(1))];
    const journal = new MemoryJournal();
    const whole = await run({ kernels: slow, journal, config });
    expectRefused(whole, "G2_STABILITY", "latency_budget_exceeded");
    await expectReplayed(whole, journal, { kernels: fast, config });
    await Promise.all([slow.close(), fast.close()]);
  });

  test("it takes more than its share of the step's FLOPs", async () => {
    const free = await run({ config: limits({ stepShareBudget: 1 }) });
    expect(free.events.filter(({ name }) => name === "gate_failure")).toEqual([]);
    const shares = free.result.checkpoint.kasmina.seeds.map(({ stats }) => stats.stepShare ?? 0);
    expect(shares[0]).toBeGreaterThan(0.1);
    expect(shares[0]).toBeLessThan(0.9);

    const config = limits({ stepShareBudget: (shares[0] ?? 0) - 1e-6 });
    const journal = new MemoryJournal();
    const whole = await run({ journal, config });
    expectRefused(whole, "G2_STABILITY", "performance_status");
    const [failure] = whole.events.filter(({ name }) => name === "gate_failure");
    expect(failure?.attributes).toMatchObject({ performance_status: "degraded", step_share: shares[0] });
    await expectReplayed(whole, journal, { config });
  });
});
