import { expect, test } from "vitest";
import type { ObservationRecord } from "../../folder/run-records.js";
import { type LoggedLine, type LogPoint, LogPoints } from "./log-points.js";

const AT = 1_700_000_000_000;

/** Of two epochs of 40 steps. */
function pointsOf(lines: readonly LoggedLine[]): LogPoint[] {
  const points = new LogPoints(2);
  return [...lines.flatMap((line) => points.of(line, AT)), ...points.rest()];
}

/** [tag, step, value or lines] */
function shown(lines: readonly LoggedLine[]): unknown[] {
  return pointsOf(lines).map((point) => [
    point.tag,
    point.step,
    point.kind === "scalar" ? point.value : point.lines,
  ]);
}

const step = (phase: "grow" | "host_alone", at: number, loss: number): LoggedLine => ({
  type: "step",
  phase,
  step: at,
  steps_total: 80,
  epoch: 1,
  loss,
  seeds: [],
});

const observation: ObservationRecord = {
  type: "observation",
  phase: "grow",
  step: 40,
  train_loss: 0.5,
  val_loss: 0.4,
  val_loss_std_err: 0.01,
  val_accuracy: null,
  params_total: 1_266,
  flops_total: 8e9,
  at_ms: 0,
  seeds: [
    {
      id: "seed-1",
      slot: "block1",
      blueprint: "low-rank",
      stage: "TRAINING",
      alpha: 0,
      parameters: 10,
      shadow_gain: 0.1,
      shadow_gain_std_err: 0.01,
      contribution: null,
      contribution_std_err: null,
    },
  ],
};

test("what is measured becomes curves, and what is not measured does not", () => {
  expect(pointsOf([step("grow", 2, 0.9)])).toEqual([
    { kind: "scalar", tag: "loss/train", step: 2, atMs: AT, value: 0.9 },
  ]);
  expect(shown([observation, { type: "alpha", seed_id: "seed-1", step: 41, alpha: 0.25 }])).toEqual([
    ["loss/held_out", 40, 0.4],
    ["network/parameters", 40, 1_266],
    ["network/flops", 40, 8e9],
    ["shadow_gain/seed-1", 40, 0.1],
    ["alpha/seed-1", 41, 0.25],
  ]);
});

test("the host that is trained alone has curves of its own, at the ends of its epochs", () => {
  const epoch = { type: "epoch", epoch: 1, train_loss: 0.5, val_loss: 0.4, val_accuracy: 0.9 } as const;
  expect(shown([step("host_alone", 38, 0.7), { ...epoch, phase: "host_alone" }])).toEqual([
    ["loss/train_host_alone", 38, 0.7],
    ["loss/held_out_host_alone", 40, 0.4],
    ["accuracy/held_out_host_alone", 40, 0.9],
  ]);
  expect(shown([step("grow", 38, 0.7), { ...epoch, phase: "grow" }])).toEqual([["loss/train", 38, 0.7]]);
});

test("what happens in one step is one note a seed, when the step is over", () => {
  const stage = { type: "event", name: "seed_stage", level: "INFO", seed_id: "seed-1", step: 60 } as const;
  const lines: LoggedLine[] = [
    { ...stage, from: "TRAINING", to: "CULLED" },
    { type: "decision", step: 60, seed_id: "seed-1", action: "CULL", why: "no gain" },
    { ...stage, from: "CULLED", to: "EMBARGOED" },
    { type: "event", name: "emergency", level: "CRITICAL", step: 61, emergency: "HALT" },
    { type: "event", phase: "host_alone", name: "rollback_ready", level: "INFO", step: 3 },
  ];
  expect(shown(lines)).toEqual([
    ["stage/seed-1", 60, 8],
    ["stage/seed-1", 60, 9],
    ["events/seed-1", 60, ["seed_stage from=TRAINING to=CULLED", "seed_stage from=CULLED to=EMBARGOED"]],
    ["decisions/seed-1", 60, ["no gain"]],
    ["alerts", 61, 1],
    ["events/run", 61, ["CRITICAL emergency emergency=HALT"]],
    ["events/run_host_alone", 3, ["rollback_ready"]],
  ]);
});

test("the report's figures on the test set come last, at the last step", () => {
  const summary = {
    type: "summary",
    accuracy: 0.9,
    accuracy_host_alone: null,
    loss: 0.3,
    metrics: { accuracy: 0.9, balanced_accuracy: 0.8, macro_f1: 0.7, micro_f1: 0.9, confusion: [[1]] },
  };
  expect(shown([step("grow", 80, 0.2), summary as unknown as LoggedLine])).toEqual([
    ["loss/train", 80, 0.2],
    ["accuracy/test", 80, 0.9],
    ["loss/test", 80, 0.3],
    ["balanced_accuracy/test", 80, 0.8],
    ["macro_f1/test", 80, 0.7],
    ["micro_f1/test", 80, 0.9],
  ]);
});
