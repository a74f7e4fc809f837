import { describe, expect, test } from "vitest";
import { ManualClock } from "../base/index.js";
import { CommandSigner, decodeEnvelope, KeyRing, type SystemState } from "../contracts/index.js";
import { readCommand } from "../contracts/read-command.js";
import type { InputHealth } from "./inputs.js";
import { inspectInputs } from "./inputs.js";
import type { DecisionContext } from "./policy.js";
import { Tamiyo } from "./tamiyo.js";

const STATE: SystemState = {
  trainingRunId: "run",
  step: 20,
  epoch: 0,
  epochs: 5,
  trainLoss: 1,
  heldOutLoss: { value: 1, stdErr: 0.1 },
  heldOutAccuracy: 0.5,
  seeds: [],
  slots: [],
  closedBlueprints: {},
  openBreakers: [],
  paramsHost: 1,
  paramsTotal: 1,
  flopsPerStep: 1,
  flopsTotal: 20,
};
const seed = { id: "s", slotId: "a", blueprintId: "x", alpha: 1, rampDone: true, parameters: 1 };
const sure = { value: 1, stdErr: 0.1 };
const { heldOutLoss: _, ...BLIND } = STATE;

describe("inputs", () => {
  test("are healthy where everything is there", () => {
    expect(inspectInputs(STATE, 0)).toEqual({ coverage: 1, missing: [] });
  });

  test.each<[string, SystemState]>([
    ["fresh_state", { ...STATE, step: 0 }],
    ["train_loss", { ...STATE, trainLoss: Number.NaN }],
    ["held_out_loss", BLIND],
    ["held_out_loss", { ...STATE, heldOutLoss: { value: Number.NaN, stdErr: 0 } }],
    ["held_out_score", { ...STATE, heldOutAccuracy: Number.NaN }],
    ["closed_breakers", { ...STATE, openBreakers: ["fetch"] }],
    ["s.shadow_gain", { ...STATE, seeds: [{ ...seed, stage: "TRAINING", contribution: sure }] }],
    ["s.contribution", { ...STATE, seeds: [{ ...seed, stage: "SHADOWING", shadowGain: sure }] }],
  ])("name %s where it is missing", (name, state) => {
    const { coverage, missing } = inspectInputs(state, 0);
    expect(missing).toEqual([name]);
    expect(coverage).toBeLessThan(1);
  });

  test("want nothing of a paused seed, or of one whose kernel is on its way", () => {
    const seeds = [
      { ...seed, stage: "TRAINING" as const, pausedFrom: "TRAINING" as const },
      { ...seed, stage: "GERMINATED" as const },
    ];
    expect(inspectInputs({ ...STATE, seeds }).missing).toEqual([]);
  });
});

test("Tamiyo reports when inputs degrade and when they are whole again, and every command how much was seen", () => {
  const keys = new KeyRing([{ id: "k", secret: new Uint8Array(32) }]);
  const reported: InputHealth[] = [];
  const seen: DecisionContext[] = [];
  const sent: Uint8Array[] = [];
  const tamiyo = new Tamiyo({
    policy: {
      version: "test",
      decide: (_state, context = {}) => {
        seen.push(context);
        return [{ action: "cull", seedId: "s", expectedStage: "TRAINING", why: "because", logits: [1, 0] }];
      },
      snapshot: () => null,
      restore: () => undefined,
    },
    signer: new CommandSigner({ keys, clock: new ManualClock() }),
    trainingRunId: "run",
    send: (envelope) => sent.push(envelope),
    onInputs: (health) => reported.push(health),
  });
  const states = [
    STATE,
    { ...STATE, step: 40, trainLoss: Number.NaN },
    { ...STATE, step: 40, trainLoss: Number.NaN },
  ];
  for (const state of [...states, { ...STATE, step: 60 }]) tamiyo.observe(state);
  expect(reported.map(({ missing }) => missing)).toEqual([["train_loss"], ["fresh_state", "train_loss"], []]);
  expect(seen.map(({ health }) => health?.missing.length)).toEqual([0, 1, 2, 0]);
  const coverages = sent.map((envelope) => {
    const parts = decodeEnvelope(envelope);
    return parts && readCommand(parts.payload).decision?.featureCoverage;
  });
  expect(coverages).toEqual([1, expect.closeTo(0.8), expect.closeTo(0.6), 1]);
});
