import { describe, expect, test } from "vitest";
import { openBackend } from "../../engine/index.js";
import { expectResumed, optionsFor, run } from "./train-run.fixture.js";
import { describeRun } from "./train-run-suite.fixture.js";

describeRun("wasm");

describe.each(["wasm", "native"] as const)("a growth run on %s", (engine) => {
  test("cut at every stage and resumed, it ends as if it had never stopped", async () => {
    const { backend } = await openBackend(engine, { threads: 1 });
    const whole = await run(optionsFor(backend));
    const cuts = [...whole.stages.values()].flatMap((step) => [step, step + 7]);
    const within = [...new Set(cuts)].filter((step) => step > 0 && step < whole.result.steps);
    expect(within.length).toBeGreaterThan(8);
    for (const step of within) await expectResumed(backend, whole, step);
  });
});
