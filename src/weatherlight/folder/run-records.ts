/**
 * What `events.ndjson` holds in addition to the lines that `kasmina grow --json` prints: what was measured at each
 * observation, how alpha moved, and why the policy decided as it did. The report is drawn from these.
 */
import {
  type Estimate,
  isInOutput,
  isInShadow,
  type Stage,
  type SystemState,
  type TelemetryPacket,
} from "../../contracts/index.js";
import type { Decision } from "../../tamiyo/index.js";
import type { Phase } from "./growth-lines.js";

export interface SeedObservation {
  readonly id: string;
  readonly slot: string;
  readonly blueprint: string;
  readonly stage: Stage;
  readonly alpha: number;
  /** Scalars of its weights. */
  readonly parameters: number;
  /** Held out; null where it is not measured in this stage. */
  readonly shadow_gain: number | null;
  readonly shadow_gain_std_err: number | null;
  readonly contribution: number | null;
  readonly contribution_std_err: number | null;
}

export interface ObservationRecord {
  readonly type: "observation";
  readonly phase: Phase;
  /** Steps done, over all epochs. */
  readonly step: number;
  /** Mean over the steps since the last observation. */
  readonly train_loss: number;
  readonly val_loss: number | null;
  readonly val_loss_std_err: number | null;
  /** Null where the task has none; then one of the next two is there instead. */
  readonly val_accuracy: number | null;
  readonly val_r2?: number;
  readonly val_micro_f1?: number;
  readonly params_total: number;
  readonly flops_total: number;
  /** When it was made, in milliseconds since 1970. */
  readonly at_ms: number;
  readonly seeds: readonly SeedObservation[];
}

/** One step at which a seed's alpha is another than before. */
export interface AlphaRecord {
  readonly type: "alpha";
  readonly seed_id: string;
  readonly step: number;
  readonly alpha: number;
}

export interface DecisionRecord {
  readonly type: "decision";
  readonly step: number;
  readonly seed_id: string;
  readonly action: string;
  /** One line: what was seen, and why this follows. */
  readonly why: string;
}

/** What monitor and machine say since the observation before; null where nothing was said. */
export interface FiguresRecord {
  readonly type: "figures";
  readonly phase: Phase;
  readonly step: number;
  /** The largest reading of the isolation monitor of any seed. */
  readonly leak_ratio: number | null;
  /** The largest by its size. */
  readonly cosine: number | null;
  /** Milliseconds that training stood still at grafts. */
  readonly stall_ms: number;
  /** Memory of the process that trains, in bytes, just then. */
  readonly resident_bytes: number | null;
}

export type RunRecordLine = ObservationRecord | FiguresRecord | AlphaRecord | DecisionRecord;

export function observationRecord(state: SystemState, phase: Phase, atMs: number): ObservationRecord {
  const [val_loss, val_loss_std_err] = numbersOf(state.heldOutLoss);
  return {
    type: "observation",
    phase,
    step: state.step,
    train_loss: state.trainLoss,
    val_loss,
    val_loss_std_err,
    val_accuracy: state.heldOutAccuracy ?? null,
    ...(state.heldOutR2 !== undefined && { val_r2: state.heldOutR2 }),
    ...(state.heldOutMicroF1 !== undefined && { val_micro_f1: state.heldOutMicroF1 }),
    params_total: state.paramsTotal,
    flops_total: state.flopsTotal,
    at_ms: atMs,
    seeds: state.seeds.map((seed) => {
      // What was measured in an earlier stage stays in the state; it says nothing about this step.
      const gain = isInShadow(seed.stage) ? seed.shadowGain : undefined;
      const [shadow_gain, shadow_gain_std_err] = numbersOf(gain);
      const contributed = isInOutput(seed.stage) ? seed.contribution : undefined;
      const [contribution, contribution_std_err] = numbersOf(contributed);
      return {
        id: seed.id,
        slot: seed.slotId,
        blueprint: seed.blueprintId,
        stage: seed.stage,
        alpha: seed.alpha,
        parameters: seed.parameters,
        shadow_gain,
        shadow_gain_std_err,
        contribution,
        contribution_std_err,
      };
    }),
  };
}

function numbersOf(estimate: Estimate | undefined): [number | null, number | null] {
  return estimate ? [estimate.value, estimate.stdErr] : [null, null];
}

export function decisionRecord(decision: Decision, { step }: SystemState): DecisionRecord {
  const action = decision.action === "advance" ? decision.operation : decision.action.toUpperCase();
  return { type: "decision", step, seed_id: decision.seedId, action, why: decision.why };
}

/** Finds the steps at which an alpha moves, in the packets of a run. */
export class AlphaChanges {
  readonly #last = new Map<string, number>();

  in({ seedId, step, metrics, retired }: TelemetryPacket): AlphaRecord | undefined {
    if (seedId === undefined) return undefined;
    const alpha = metrics.find(({ name }) => name === "kasmina.seed.alpha")?.value;
    const before = this.#last.get(seedId) ?? 0;
    if (retired) this.#last.delete(seedId);
    if (alpha === undefined || alpha === before) return undefined;
    if (!retired) this.#last.set(seedId, alpha);
    return { type: "alpha", seed_id: seedId, step, alpha };
  }
}

/** What a recorder needs of the machine. */
export interface RecorderOptions {
  readonly phase: Phase;
  readonly nowMs: () => number;
  /** Undefined where nobody says. */
  readonly residentBytes: () => number | undefined;
}

/** Makes the records of a training of what it reports. */
export class RunRecorder {
  readonly #emit: (line: RunRecordLine) => void;
  readonly #options: RecorderOptions;
  readonly #alphas = new AlphaChanges();
  #leakRatio: number | null = null;
  #cosine: number | null = null;
  #stallMs = 0;

  constructor(emit: (line: RunRecordLine) => void, options: RecorderOptions) {
    this.#emit = emit;
    this.#options = options;
  }

  packet(packet: TelemetryPacket): void {
    const change = this.#alphas.in(packet);
    if (change) this.#emit(change);
    for (const { name, value } of packet.metrics) {
      if (name === "kasmina.graft.stall_ms") this.#stallMs += value;
      else if (name === "kasmina.seed.isolation.leak_ratio")
        this.#leakRatio = Math.max(this.#leakRatio ?? 0, value);
      else if (name === "kasmina.seed.isolation.cosine" && Math.abs(value) >= Math.abs(this.#cosine ?? 0))
        this.#cosine = value;
    }
  }

  observation(state: SystemState): void {
    const { phase, nowMs, residentBytes } = this.#options;
    this.#emit(observationRecord(state, phase, nowMs()));
    this.#emit({
      type: "figures",
      phase,
      step: state.step,
      leak_ratio: this.#leakRatio,
      cosine: this.#cosine,
      stall_ms: this.#stallMs,
      resident_bytes: residentBytes() ?? null,
    });
    [this.#leakRatio, this.#cosine, this.#stallMs] = [null, null, 0];
  }

  decision(decision: Decision, state: SystemState): void {
    this.#emit(decisionRecord(decision, state));
  }
}
