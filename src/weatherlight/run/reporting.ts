/** What a run reports: as reports to callbacks, as lines of JSON, as records in its folder, and its summary at the end. */
import { type Clock, systemClock } from "../../base/index.js";
import type { TelemetryEvent, TelemetryPacket } from "../../contracts/index.js";
import {
  type GrowthLine,
  type Phase,
  type SeedReport,
  type Summary,
  scoreFields,
} from "../folder/growth-lines.js";
import { RunRecorder, type RunRecordLine } from "../folder/run-records.js";
import type { RunSetup } from "../grow/run-setup.js";
import { accuracyIn } from "../grow/train-run.js";
import type { EventReport, GrowCallbacks, GrowPhase } from "./grow-options.js";
import type { GrowResult } from "./grow-result.js";

type Listeners = Pick<
  RunSetup,
  "onStep" | "onEpoch" | "onEvent" | "onPacket" | "onObservation" | "onDecision"
>;

/**
 * Makes reports of what one training reports.
 * @param record into the run folder; undefined where there is none
 */
export function listenersOf(
  callbacks: readonly GrowCallbacks[],
  phase: GrowPhase,
  record: ((line: RunRecordLine) => void) | undefined,
  clock: Clock = systemClock,
): Listeners {
  const recorder = record && recorderOf(record, LINE_PHASE[phase], clock);
  const grows = phase === "grow";
  return {
    onStep: ({ step, stepsTotal, epoch, loss, seeds }) => {
      const progress = seeds.map(({ id, stage, alpha }) => ({ id, stage, alpha }));
      for (const { onStep } of callbacks) onStep?.({ phase, step, stepsTotal, epoch, loss, seeds: progress });
    },
    onEpoch: async ({ epoch, trainLoss, heldOut }) => {
      const { loss, score } = heldOut;
      const report = {
        ...{ phase, epoch, trainLoss, valLoss: loss.value },
        valAccuracy: accuracyIn(score),
        valScore: score,
      };
      for (const { onEpoch } of callbacks) await onEpoch?.(report);
    },
    onEvent: (event, packet) => {
      const report = eventReport(event, packet, phase);
      for (const { onEvent } of callbacks) onEvent?.(report);
    },
    onPacket: (packet) => {
      recorder?.packet(packet);
      if (grows) for (const { onPacket } of callbacks) onPacket?.(packet);
    },
    onObservation: (state) => {
      recorder?.observation(state);
      if (grows) for (const { onObservation } of callbacks) onObservation?.(state);
    },
    onDecision: (decision, state) => {
      recorder?.decision(decision, state);
      for (const { onDecision } of callbacks) onDecision?.(decision, state);
    },
  };
}

function eventReport(
  { name, level, attributes }: TelemetryEvent,
  { seedId, step }: TelemetryPacket,
  phase: GrowPhase,
): EventReport {
  return { phase, name, level, ...(seedId !== undefined && { seedId }), step, attributes };
}

const LINE_PHASE: { readonly [P in GrowPhase]: Phase } = { grow: "grow", hostAlone: "host_alone" };

/** Callbacks that make the lines of `kasmina grow --json` of what they receive. */
export function lineCallbacks(emit: (line: GrowthLine) => void): GrowCallbacks {
  return {
    onStep: ({ phase, step, stepsTotal, epoch, loss, seeds }) =>
      emit({ type: "step", phase: LINE_PHASE[phase], step, steps_total: stepsTotal, epoch, loss, seeds }),
    onEpoch: ({ phase, epoch, trainLoss, valLoss, valScore }) =>
      emit({
        type: "epoch",
        phase: LINE_PHASE[phase],
        epoch,
        train_loss: trainLoss,
        val_loss: valLoss,
        ...scoreFields(valScore),
      }),
    onEvent: (report) => emit(eventLine(report)),
    onDecision: (decision) => {
      if (decision.action === "cull") emit({ type: "notice", text: decision.why });
    },
    onNotice: (text, always) => emit({ type: "notice", text, ...(always && { always }) }),
  };
}

/** Callbacks that make the records of events.ndjson of what they receive of the growing run. */
export function recordCallbacks(emit: (line: RunRecordLine) => void) {
  const recorder = recorderOf(emit, "grow", systemClock);
  return {
    onObservation: (state) => recorder.observation(state),
    onDecision: (decision, state) => recorder.decision(decision, state),
    onPacket: (packet) => recorder.packet(packet),
  } satisfies GrowCallbacks;
}

function recorderOf(emit: (line: RunRecordLine) => void, phase: Phase, clock: Clock): RunRecorder {
  return new RunRecorder(emit, {
    phase,
    nowMs: () => clock.nowMs(),
    // Of the whole process, from a thread too; a browser says nothing.
    residentBytes: () => globalThis.process?.memoryUsage?.rss(),
  });
}

/** Type, name and level come first, and no attribute can take their place; the phase is said where it is not the growing run's. */
function eventLine({ phase, name, level, seedId, step, attributes }: EventReport): GrowthLine {
  const of = phase === "grow" ? {} : { phase: LINE_PHASE[phase] };
  const head = { type: "event", ...of, name, level } as const;
  const seed = seedId === undefined ? {} : { seed_id: seedId };
  return { ...head, ...seed, step, ...attributes, ...head };
}

/** What was not evaluated is not a number. */
function measured(value: number | null): number | null {
  return Number.isNaN(value) ? null : value;
}

/** The last line of a run. */
export function summaryLine(result: GrowResult): Summary {
  const { isolation } = result;
  return {
    type: "summary",
    ended: result.ended,
    run_id: result.runId,
    engine: result.engine,
    seed: result.seed,
    host: result.host,
    data: result.data,
    ...(result.dataSha256 !== undefined && { data_sha256: result.dataSha256 }),
    ...(result.parent !== undefined && { parent: result.parent }),
    epochs: result.epochs,
    accuracy_host_alone: measured(result.accuracyHostAlone),
    accuracy: measured(result.accuracy),
    task: result.task,
    loss: measured(result.testLoss),
    metrics: result.metrics,
    metrics_host_alone: result.metricsHostAlone,
    ...(result.threshold !== undefined && { threshold: result.threshold }),
    ...(result.best && { best: { step: result.best.step, held_out_loss: result.best.heldOutLoss } }),
    params_host: result.paramsHost,
    params_total: result.paramsTotal,
    flops_total: result.flopsTotal,
    ...(result.flopsByPart && { flops_by_part: result.flopsByPart }),
    steps_per_s: result.stepsPerSecond,
    wall_s: result.wallSeconds,
    seeds: result.seeds.map(
      ({ id, blueprint, slot, stage, alpha, shadowGain, contribution, inherited }): SeedReport => ({
        id,
        blueprint,
        slot,
        stage,
        alpha,
        shadow_gain: shadowGain,
        contribution,
        ...(inherited && { inherited }),
      }),
    ),
    commands: result.commands,
    isolation: {
      violations: isolation.violations,
      max_leak_ratio: isolation.maxLeakRatio,
      max_cosine: isolation.maxCosine,
    },
  };
}
