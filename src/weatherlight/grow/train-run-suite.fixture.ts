/** What every growth run holds to, as a suite: in the quick tests on one engine, in the long ones on the other. */
import { beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../base/index.js";
import { type Backend, openBackend } from "../../engine/index.js";
import type { RunCheckpoint } from "./run-outcome.js";
import { expectResumed, optionsFor, run, type Trail } from "./train-run.fixture.js";

/** A seed goes its whole way, the same way every time, also where the run is cut. */
export function describeRun(engine: "wasm" | "native"): void {
  describe(`a growth run on ${engine}`, () => {
    let backend: Backend;
    let whole: Trail;
    beforeAll(async () => {
      ({ backend } = await openBackend(engine, { threads: 1 }));
      whole = await run(optionsFor(backend));
    });

    test("takes a seed through every stage, and the seed is kept", () => {
      expect([...whole.stages.keys()]).toEqual(
        expect.arrayContaining([
          "GERMINATED",
          "TRAINING",
          "BLENDING",
          "SHADOWING",
          "PROBATIONARY",
          "FOSSILIZED",
        ]),
      );
      expect(whole.result.paramsTotal).toBeGreaterThan(whole.result.paramsHost);
      expect(whole.result.commands.accepted).toBeGreaterThanOrEqual(6);
    });

    test("gives the same losses and parameters to the last bit when it is run again", async () => {
      const again = await run(optionsFor(backend));
      expect(again.losses).toEqual(whole.losses);
      expect(again.result.checkpoint.tensors).toEqual(whole.result.checkpoint.tensors);
      expect(again.result.flopsTotal).toBe(whole.result.flopsTotal);
    });

    test.each([
      ["17 steps", { steps: 17 }],
      ["seconds", { ms: 1_000 }],
    ])("checkpoints within epochs, by %s, change nothing, and it ends the same from each", async (_, checkpointEvery) => {
      const taken: RunCheckpoint[] = [];
      // One second in 41 looks at the clock, whatever the speed of the machine.
      let nowMs = 0;
      const clock = { ...systemClock, monotonicMs: () => (nowMs += 1_000 / 41) };
      const options = { ...optionsFor(backend), checkpointEvery, clock };
      const often = await run({ ...options, onCheckpoint: async (one) => void taken.push(one) });
      expect(often.losses).toEqual(whole.losses);
      expect(often.result.checkpoint.tensors).toEqual(whole.result.checkpoint.tensors);
      const within = taken.filter(({ atEpochStart }) => !atEpochStart);
      expect(within.length).toBeGreaterThan(3);
      for (const resume of [within[0], within[Math.floor(within.length / 2)], within.at(-1)]) {
        const rest = await run({ ...optionsFor(backend), ...(resume && { resume }) });
        expect(rest.result.checkpoint.tensors).toEqual(whole.result.checkpoint.tensors);
      }
    });

    test("steps a second are those that it did, from the first one on", async () => {
      // A step takes 100 ms, and preparing the first one, or going on, 5 s.
      const timed = async (resume?: RunCheckpoint) => {
        let nowMs = 0;
        const clock = { ...systemClock, monotonicMs: () => nowMs };
        const onStep = (): void => {
          nowMs += 100;
        };
        const onControl = (): void => {
          nowMs += 5_000;
        };
        const timing = { clock, onStep, onControl, reportEverySteps: 1 };
        return run({ ...optionsFor(backend), ...timing, ...(resume && { resume }) });
      };
      const taken: RunCheckpoint[] = [];
      await run({ ...optionsFor(backend), onCheckpoint: async (one) => void taken.push(one) });
      for (const { result } of [await timed(), await timed(taken[Math.floor(taken.length / 2)])])
        expect(result.stepsPerSecond).toBeCloseTo(10, 0);
    });

    test("cut in the middle of a ramp and resumed, it ends as if it had never stopped", async () => {
      await expectResumed(backend, whole, (whole.stages.get("BLENDING") ?? 0) + 7);
    });
  });
}
