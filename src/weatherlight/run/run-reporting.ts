/** What a run tells as lines while it goes on, what it records in its folder alone, and its summary at the end. */
import type { TelemetryEvent, TelemetryPacket } from "../../contracts/index.js";
import type { DataRecord } from "../folder/data-record.js";
import type { GrowthLine, Phase, Summary } from "../folder/growth-lines.js";
import {
  AlphaChanges,
  decisionRecord,
  observationRecord,
  type RunRecordLine,
} from "../folder/run-records.js";
import { reportSeed } from "../folder/saved-checkpoint.js";
import type { GrowOptions } from "../grow/grow-options.js";
import type { GrowResult } from "../grow/grow-result.js";
import type { GrowthConfig } from "./growth-config.js";

export interface Reporting {
  readonly tell: (line: GrowthLine) => void;
  /** Into the run folder alone. */
  readonly record: (line: RunRecordLine) => void;
}

type Listeners = Pick<
  GrowOptions,
  "onStep" | "onEpoch" | "onEvent" | "onPacket" | "onObservation" | "onDecision"
>;

/** Makes lines of what a run reports. */
export function listenersOf({ tell, record }: Reporting, phase: Phase): Listeners {
  const alphas = new AlphaChanges();
  return {
    onStep: ({ step, stepsTotal, epoch, loss, seeds }) =>
      tell({
        type: "step",
        phase,
        step,
        steps_total: stepsTotal,
        epoch,
        loss,
        seeds: seeds.map(({ id, stage, alpha }) => ({ id, stage, alpha })),
      }),
    onEpoch: ({ epoch, trainLoss, heldOut }) =>
      tell({
        type: "epoch",
        phase,
        epoch,
        train_loss: trainLoss,
        val_loss: heldOut.loss.value,
        val_accuracy: heldOut.accuracy,
      }),
    onEvent: (event, packet) => tell(eventLine(event, packet)),
    onPacket: (packet) => {
      const change = alphas.in(packet);
      if (change) record(change);
    },
    onObservation: (state) => record(observationRecord(state, phase)),
    onDecision: (decision, state) => record(decisionRecord(decision, state)),
  };
}

/** Type, name and level come first, and no attribute can take their place. */
function eventLine(
  { name, level, attributes }: TelemetryEvent,
  { seedId, step }: TelemetryPacket,
): GrowthLine {
  const head = { type: "event", name, level } as const;
  const seed = seedId === undefined ? {} : { seed_id: seedId };
  return { ...head, ...seed, step, ...attributes, ...head };
}

export interface SummaryOptions {
  readonly runId: string;
  readonly engine: string;
  readonly config: GrowthConfig;
  readonly data: DataRecord;
  readonly result: GrowResult;
  /** The host trained alone, where it was. */
  readonly alone: GrowResult | undefined;
}

export function summarize({ runId, engine, config, data, result, alone }: SummaryOptions): Summary {
  return {
    type: "summary",
    run_id: runId,
    engine,
    seed: config.seed,
    host: config.host,
    data: config.data,
    data_sha256: data.sha256,
    epochs: config.epochs,
    accuracy_host_alone: alone?.accuracy ?? null,
    accuracy: result.accuracy,
    params_host: result.paramsHost,
    params_total: result.paramsTotal,
    flops_total: result.flopsTotal,
    steps_per_s: result.steps / result.wallSeconds,
    wall_s: result.wallSeconds + (alone?.wallSeconds ?? 0),
    seeds: result.seeds.map(reportSeed),
    commands: result.commands,
    isolation: {
      violations: result.isolation.violations,
      max_leak_ratio: result.isolation.maxLeakRatio,
      max_cosine: result.isolation.maxCosine,
    },
  };
}
