/** One seed after another is grafted, trained and culled: nothing of them is left, and the host is what its parameters say. */

import { describe, expect, test } from "vitest";
import { OrderedBatches } from "../src/data/index.js";
import { openBackend, trace } from "../src/engine/index.js";
import { evaluationProgram, type Topology } from "../src/network/index.js";
import { evaluateRows } from "../src/tolaria/evaluate.js";
import type { RunCheckpoint } from "../src/weatherlight/grow/run-outcome.js";
import { type Churn, churn, dataset, type Holdings, host } from "./churn.fixture.js";
import { times } from "./support/full-counts.js";

/** Programs of the present topology and of the one before: two of each, and a monitor. */
const PROGRAMS = 6;
const CACHED_KERNELS = 8;
/** Against the look after a third of the seeds: by then everything is loaded, compiled and warm. */
const RESIDENT_GROWTH = 0.05;
/** What V8 once takes for compiling, at a moment of its choice, and keeps. */
const COMPILER_MIB = 13;
/** Nonces and the journal keep what is said of a seed; before traces were released it was 4,500 KiB. Code takes 2 MiB. */
const HEAP_KIB_A_SEED = 10;

describe.each([
  { engine: "native", seeds: times(400, 1_000), lookEvery: times(40, 100) },
  { engine: "wasm", seeds: times(120, 240), lookEvery: times(10, 20) },
] as const)("$seeds seeds on $engine", ({ engine, seeds, lookEvery }) => {
  let run: Churn;

  test("are all grafted, trained and culled", async () => {
    run = await churn(engine, seeds, lookEvery);
    expect(run.failures).toEqual([]);
    expect(run.outcomes).toEqual({ applied: 3.5 * seeds });
    expect(run.stages).toMatchObject({ GERMINATED: seeds, TRAINING: seeds, CULLED: seeds, DORMANT: seeds });
    expect(run.stages.BLENDING).toBe(seeds / 2);
    expect(run.holdings).toHaveLength(seeds / lookEvery + 1);
  });

  test("leave nothing in state, registry, programs, caches and telemetry", () => {
    const [{ statePaths } = { statePaths: [] }] = run.holdings;
    expect(statePaths.filter((path) => path.startsWith("host/")).length).toBeGreaterThan(0);
    for (const held of run.holdings) {
      expect(held).toMatchObject({ seeds: 0, series: 0, closedSlots: 0, inflight: 0, statePaths });
      expect(held.alive).toMatchObject({ states: 1, tensors: statePaths.length });
      expect(held.alive.programs).toBeLessThanOrEqual(PROGRAMS);
      expect(held.cached).toBeLessThanOrEqual(CACHED_KERNELS);
      expect(held.journaled).toBeLessThan(1_200);
    }
    expect(run.compiled).toBeLessThan(40);
    expect(run.left).toEqual({ programs: 0, states: 0, tensors: 0 });
  });

  test("leave the memory as it was", () => {
    const warmAt = Math.floor(run.holdings.length / 3);
    const warm = run.holdings[warmAt];
    const last = run.holdings.at(-1);
    console.info(`${engine}: ${describeMemory(warm)} → ${describeMemory(last)}`);
    if (!warm || !last) throw new Error("nobody looked");
    expect(last.rssMiB).toBeLessThan(warm.rssMiB * (1 + RESIDENT_GROWTH) + COMPILER_MIB);
    expect(last.heapMiB - warm.heapMiB).toBeLessThan(
      2 + (HEAP_KIB_A_SEED * (seeds - warmAt * lookEvery)) / 1_024,
    );
  });

  test("leave a host that computes exactly what its parameters say", async () => {
    for (const [at, checkpoint] of run.checkpoints.entries()) {
      if (at === 0) continue;
      expect(await freshLoss(engine, checkpoint)).toBe(run.heldOut[at]);
    }
  });
});

function describeMemory(held: Holdings | undefined): string {
  return `${held?.rssMiB.toFixed(1)} MiB resident, ${held?.heapMiB.toFixed(1)} MiB of heap`;
}

/** Held-out loss of a network that knows nothing but the host's parameters. */
async function freshLoss(engine: "native" | "wasm", { tensors }: RunCheckpoint): Promise<number> {
  const { backend } = await openBackend(engine, { threads: 1 });
  const topology: Topology = { host, hostGradient: "detach", sites: [] };
  const rows = new OrderedBatches(dataset.heldOut, dataset.inputShape, 256);
  const program = await backend.compile(trace(evaluationProgram(topology, rows.batch)));
  const state = backend.createState();
  state.write(Object.fromEntries(Object.entries(tensors).filter(([path]) => path.startsWith("host/"))));
  const { loss } = await evaluateRows(program, topology, state, rows, {});
  await backend.dispose();
  return loss.value;
}
