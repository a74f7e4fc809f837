/** What every growth run holds to, as a suite: in the quick tests on one engine, in the long ones on the other. */
import { beforeAll, describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../../engine/index.js";
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

    test("cut in the middle of a ramp and resumed, it ends as if it had never stopped", async () => {
      await expectResumed(backend, whole, (whole.stages.get("BLENDING") ?? 0) + 7);
    });
  });
}
