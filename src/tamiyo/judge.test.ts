import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Estimate, SeedState, Stage } from "../contracts/index.js";
import { EvidenceJudge, FixedJudge } from "./judge.js";
import { EVIDENCE_DEFAULTS } from "./plateau-policy.js";
import type { Decision } from "./policy.js";
import { isFree, noted, type SeedNotes } from "./seed-notes.js";

const judge = new EvidenceJudge(EVIDENCE_DEFAULTS);
const { minTraining, maxTraining, minProbation, patience } = EVIDENCE_DEFAULTS;

function seedIn(stage: Stage, estimate?: Estimate): SeedState {
  const measured = stage === "TRAINING" ? "shadowGain" : "contribution";
  const known = { id: "s", slotId: "a", blueprintId: "x", alpha: 1, rampDone: true, parameters: 1 };
  return { ...known, stage, ...(estimate && { [measured]: estimate }) };
}

/** The first decision on a seed that is measured like this, and the observation at which it falls. */
function judged(
  stage: Stage,
  measurements: readonly Estimate[],
): { decision: Decision | undefined; after: number } {
  let notes: SeedNotes | undefined;
  for (const [i, estimate] of measurements.entries()) {
    const seed = seedIn(stage, estimate);
    notes = noted(notes, seed);
    const decision = judge.judge(seed, notes);
    if (decision) return { decision, after: i + 1 };
  }
  return { decision: undefined, after: measurements.length };
}

const steady = (value: number, stdErr: number, n = 40): readonly Estimate[] =>
  Array(n).fill({ value, stdErr });

describe("a seed in TRAINING", () => {
  test("that helps clearly goes on as soon as it no longer gets better", () => {
    const { decision, after } = judged("TRAINING", steady(0.1, 0.01));
    expect(decision).toMatchObject({ operation: "START_BLENDING", expectedStage: "TRAINING" });
    expect(after).toBe(minTraining);
  });

  test("that harms clearly is culled at half its time, unless it catches up", () => {
    expect(judged("TRAINING", steady(-0.1, 0.01))).toMatchObject({
      decision: { action: "cull" },
      after: maxTraining / 2,
    });
    const rising = Array.from({ length: maxTraining }, (_, i) => ({ value: -0.3 + 0.03 * i, stdErr: 0.001 }));
    expect(judged("TRAINING", rising)).toMatchObject({ decision: { action: "advance" } });
  });

  test("of no clear effect has its time, and no more", () => {
    expect(judged("TRAINING", steady(0, 0.01))).toMatchObject({
      decision: { action: "cull" },
      after: maxTraining,
    });
  });

  test("that is no number goes at once", () => {
    expect(judged("TRAINING", steady(Number.NaN, 0))).toMatchObject({
      decision: { action: "cull" },
      after: 1,
    });
  });

  test("is always judged in time, with finite odds", () => {
    const estimate = fc.record({
      value: fc.double({ min: -1, max: 1 }),
      stdErr: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(estimate, { minLength: maxTraining, maxLength: maxTraining }), (measurements) => {
        const { decision } = judged("TRAINING", measurements);
        expect(decision?.logits.every(Number.isFinite)).toBe(true);
      }),
    );
  });
});

describe.each([
  ["SHADOWING", "START_PROBATION"],
  ["PROBATIONARY", "FOSSILIZE"],
] as const)("a seed in %s", (stage, operation) => {
  test("goes on with a contribution that is clear of 0, and is culled without", () => {
    expect(judged(stage, steady(0.1, 0.01)).decision).toMatchObject({ operation });
    expect(judged(stage, steady(-0.1, 0.01)).decision).toMatchObject({ action: "cull" });
  });

  test("that stays unclear is measured again, until patience is spent", () => {
    const { decision, after } = judged(stage, steady(0.01, 0.01));
    expect(decision).toMatchObject({ action: "cull" });
    expect(after).toBe(Math.max(patience, minProbation));
  });
});

test("a seed that learns in its probation is judged by what it is by now", () => {
  const rising = [-0.05, -0.03, 0.01, 0.05, 0.06].map((value) => ({ value, stdErr: 0.01 }));
  const { decision, after } = judged("PROBATIONARY", rising);
  expect(decision).toMatchObject({ operation: "FOSSILIZE" });
  expect(after).toBe(5);
});

test("measurements that scatter are less sure than their rows say", () => {
  const scattered = [0.01, 0.2, 0.01, 0.2, 0.01, 0.2].map((value) => ({ value, stdErr: 0.01 }));
  expect(
    judged("SHADOWING", [
      { value: 0.002, stdErr: 0.0005 },
      { value: 0.05, stdErr: 0.0005 },
    ]).decision,
  ).toBeUndefined();
  expect(judged("SHADOWING", scattered).after).toBeGreaterThan(2);
});

test("the fixed judge looks at nothing but the number of observations", () => {
  const fixed = new FixedJudge({ training: 3, shadowing: 1, probation: 1 });
  const notes = (observations: number): SeedNotes => ({
    stage: "TRAINING",
    observations,
    measured: steady(-1, 0),
    gains: [],
  });
  expect(fixed.judge(seedIn("TRAINING"), notes(2))).toBeUndefined();
  expect(fixed.judge(seedIn("TRAINING"), notes(3))).toMatchObject({ operation: "START_BLENDING" });
});

test("a command that shows no effect is sent again, but not at once", () => {
  const seed = seedIn("TRAINING");
  const notes: SeedNotes = { stage: "TRAINING", observations: 8, measured: [], gains: [], askedAt: 8 };
  expect(isFree(seed, { ...notes, observations: 9 })).toBe(false);
  expect(isFree(seed, { ...notes, observations: 10 })).toBe(true);
  expect(noted(notes, seedIn("BLENDING")).askedAt).toBeUndefined();
});
