import { describe, expect, test } from "vitest";
import type { SystemState, TelemetryPacket } from "../../contracts/index.js";
import {
  AlphaChanges,
  decisionRecord,
  observationRecord,
  RunRecorder,
  type RunRecordLine,
} from "./run-records.js";

const state: SystemState = {
  trainingRunId: "r",
  step: 40,
  epoch: 2,
  epochs: 5,
  trainLoss: 0.5,
  heldOutLoss: { value: 0.6, stdErr: 0.01 },
  heldOutAccuracy: 0.9,
  seeds: [
    {
      id: "s1",
      slotId: "block1",
      blueprintId: "low-rank",
      stage: "TRAINING",
      alpha: 0,
      rampDone: false,
      shadowGain: { value: 0.02, stdErr: 0.005 },
      parameters: 64,
    },
  ],
  slots: [],
  closedBlueprints: {},
  paramsHost: 100,
  paramsTotal: 164,
  flopsPerStep: 1_000,
  flopsTotal: 40_000,
};

function packet(step: number, alpha: number, seedId = "s1", retired = false): TelemetryPacket {
  const metrics = [{ name: "kasmina.seed.alpha" as const, value: alpha }];
  const run = { trainingRunId: "r", source: "kasmina", epoch: 0, atMs: 0, events: [], metrics };
  return { ...run, seedId, step, level: "INFO", priority: "LOW", route: "normal", retired };
}

test("an observation is what the policy saw; what was not measured is null", () => {
  expect(observationRecord(state, "grow", 1_700_000_000_000)).toEqual({
    type: "observation",
    phase: "grow",
    step: 40,
    train_loss: 0.5,
    val_loss: 0.6,
    val_loss_std_err: 0.01,
    val_accuracy: 0.9,
    params_total: 164,
    flops_total: 40_000,
    at_ms: 1_700_000_000_000,
    seeds: [
      {
        id: "s1",
        slot: "block1",
        blueprint: "low-rank",
        stage: "TRAINING",
        alpha: 0,
        parameters: 64,
        shadow_gain: 0.02,
        shadow_gain_std_err: 0.005,
        contribution: null,
        contribution_std_err: null,
      },
    ],
  });
  const earlier = state.seeds.map((seed) => ({ ...seed, stage: "SHADOWING" as const }));
  expect(observationRecord({ ...state, seeds: earlier }, "grow", 0).seeds[0]?.shadow_gain).toBeNull();
  const { heldOutLoss: _, ...blind } = state;
  expect(observationRecord(blind, "host_alone", 0)).toMatchObject({ phase: "host_alone", val_loss: null });
});

test("a decision keeps its one line and the step that it was made at", () => {
  const basis = { seedId: "s1", why: "s1 CULL: no gain", logits: [1, 0] };
  expect(decisionRecord({ action: "cull", expectedStage: "TRAINING", ...basis }, state)).toEqual({
    type: "decision",
    step: 40,
    seed_id: "s1",
    action: "CULL",
    why: "s1 CULL: no gain",
  });
  expect(
    decisionRecord(
      { action: "advance", operation: "FOSSILIZE", expectedStage: "PROBATIONARY", ...basis },
      state,
    ).action,
  ).toBe("FOSSILIZE");
});

describe("alpha", () => {
  test("is recorded at the steps where it moves, seed by seed", () => {
    const changes = new AlphaChanges();
    const recorded = [
      packet(1, 0),
      packet(2, 0.5),
      packet(2, 0.25, "s2"),
      packet(3, 0.5),
      packet(4, 1),
      packet(5, 0, "s1", true),
      packet(6, 0),
    ].map((sent) => changes.in(sent));
    expect(recorded.map((record) => record && [record.seed_id, record.step, record.alpha])).toEqual([
      undefined,
      ["s1", 2, 0.5],
      ["s2", 2, 0.25],
      undefined,
      ["s1", 4, 1],
      ["s1", 5, 0],
      undefined,
    ]);
  });

  test("is not in a packet of the run itself", () => {
    const { seedId: _, ...ofTheRun } = packet(1, 1);
    expect(new AlphaChanges().in(ofTheRun)).toBeUndefined();
  });
});

test("a recorder says beside each observation what monitor and machine said since the one before", () => {
  const lines: RunRecordLine[] = [];
  const recorder = new RunRecorder((line) => lines.push(line), {
    phase: "grow",
    nowMs: () => 5,
    residentBytes: () => 2 ** 20,
  });
  const said = (metrics: TelemetryPacket["metrics"]): TelemetryPacket => ({ ...packet(1, 0), metrics });
  const ratio = (value: number) => ({ name: "kasmina.seed.isolation.leak_ratio", value }) as const;
  const cosine = (value: number) => ({ name: "kasmina.seed.isolation.cosine", value }) as const;
  const stall = (value: number) => ({ name: "kasmina.graft.stall_ms", value }) as const;
  recorder.packet(said([ratio(0), stall(2)]));
  recorder.packet(said([ratio(0.5), cosine(-0.3), stall(3)]));
  recorder.packet(said([ratio(0.25), cosine(0.1)]));
  recorder.observation(state);
  recorder.observation(state);
  const figures = { type: "figures", phase: "grow", step: 40, resident_bytes: 2 ** 20 };
  expect(lines.filter(({ type }) => type === "figures")).toEqual([
    { ...figures, leak_ratio: 0.5, cosine: -0.3, stall_ms: 5 },
    { ...figures, leak_ratio: null, cosine: null, stall_ms: 0 },
  ]);
  expect(lines[0]).toMatchObject({ type: "observation", at_ms: 5 });
});
