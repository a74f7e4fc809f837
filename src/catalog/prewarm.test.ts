import { afterAll, describe, expect, test } from "vitest";
import { ManualClock } from "../base/index.js";
import { float32, resolveParameters } from "../contracts/index.js";
import { type Backend, createWasmBackend } from "../engine/index.js";
import { type Blueprint, builtinBlueprints, initKernel } from "../nn/index.js";
import { enginePrewarmer, type KernelCandidate } from "./prewarm.js";

const backend: Backend = await createWasmBackend();
afterAll(() => backend.dispose());
const prewarm = enginePrewarmer(backend, { batch: 4, runs: 5 });

function candidateOf(blueprint: Blueprint, slotShape: readonly number[]): KernelCandidate {
  const parameters = resolveParameters(blueprint);
  const tensors = initKernel(blueprint, slotShape, parameters, 1);
  return { blueprint, parameters, slotShape, tensors, startsAtZero: true };
}

describe("prewarming", () => {
  test.each(builtinBlueprints.ids)("%s: compiles, starts at zero, and takes some time", async (id) => {
    const blueprint = builtinBlueprints.get(id);
    const shape = [[6], [4, 8], [4, 4, 3]].find((candidate) => blueprint.supports(candidate)) ?? [];
    const { p50Ms, p95Ms, batch, engine } = await prewarm(candidateOf(blueprint, shape));
    expect(p50Ms).toBeGreaterThan(0);
    expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
    expect([batch, engine]).toEqual([4, "wasm"]);
  });

  const lowRank = builtinBlueprints.get("low-rank");

  test("weights that learned pass, but not as a kernel that has not", async () => {
    const fresh = candidateOf(lowRank, [6]);
    const tensors = Object.fromEntries(
      Object.entries(fresh.tensors).map(([name, { shape }]) => [name, float32(shape, 0.5)]),
    );
    const learned = { ...fresh, tensors };
    await expect(prewarm(learned)).rejects.toThrow(/before it has learned/);
    expect((await prewarm({ ...learned, startsAtZero: false })).batch).toBe(4);
  });

  test("rounds run alone, and the quietest one counts", async () => {
    const clock = new ManualClock();
    const slowness = [9, 3, 5];
    let rounds = 0;
    const timing = enginePrewarmer(backend, {
      batch: 1,
      runs: 5,
      budgetMs: 60,
      clock: {
        nowMs: () => clock.nowMs(),
        setTimer: (...timer) => clock.setTimer(...timer),
        monotonicMs: () => {
          clock.advance((slowness[rounds - 2] ?? 0) / 2);
          return clock.monotonicMs();
        },
      },
      alone: (round) => {
        rounds++;
        return round();
      },
    });
    const { p50Ms, p95Ms } = await timing(candidateOf(lowRank, [6]));
    expect(rounds).toBeGreaterThanOrEqual(3);
    expect([p50Ms, p95Ms]).toEqual([1.5, 1.5]);
  });

  test("a slot that would take gigabytes is refused before anything is allocated", async () => {
    const candidate = candidateOf(builtinBlueprints.get("mlp-residual"), [8]);
    const before = process.memoryUsage().rss;
    await expect(prewarm({ ...candidate, slotShape: [2_000_000, 16] })).rejects.toThrow(/is not tried/);
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
  });

  test("weights that overflow are refused", async () => {
    const fresh = candidateOf(lowRank, [6]);
    const tensors = Object.fromEntries(
      Object.entries(fresh.tensors).map(([name, { shape }]) => [name, float32(shape, 3e38)]),
    );
    await expect(prewarm({ ...fresh, tensors, startsAtZero: false })).rejects.toThrow(
      /gives (NaN|-?Infinity)/,
    );
  });

  test("a blueprint that changes the shape is refused", async () => {
    const wrong: Blueprint = { ...lowRank, id: "wrong", apply: (_, h) => h.reshape([-1]) };
    await expect(prewarm(candidateOf(wrong, [6]))).rejects.toThrow(/wrong maps \[4,6\] to \[24\]/);
  });
});
