/**
 * The lines of a run as points of curves and as notes, for tools that keep runs (docs/observability.md, "Log to TensorBoard or MLflow").
 * A curve's name is `<what>/<of what>`, by which those tools group curves: `loss/train`, `alpha/seed-1`.
 */
import { type AttributeValue, type Score, STAGES, type TelemetryLevel } from "../../../contracts/index.js";
import {
  type EpochLine,
  type EventLine,
  type GrowthLine,
  type Phase,
  type StepLine,
  type Summary,
  scoreIn,
  testScore,
} from "../../folder/growth-lines.js";
import type {
  DecisionRecord,
  FiguresRecord,
  ObservationRecord,
  RunRecordLine,
} from "../../folder/run-records.js";

/** One value of a curve. */
export interface Scalar {
  readonly kind: "scalar";
  readonly tag: string;
  /** Steps done, over all epochs. */
  readonly step: number;
  /** Milliseconds since 1970-01-01 UTC, at which it was heard of. */
  readonly atMs: number;
  readonly value: number;
}

/** What happened in one step, a line each. */
export interface Note {
  readonly kind: "note";
  readonly tag: string;
  readonly step: number;
  readonly atMs: number;
  readonly lines: readonly string[];
}

export type LogPoint = Scalar | Note;

/** What a run says, for people's eyes left out. */
export type LoggedLine = Exclude<GrowthLine, { readonly type: "notice" }> | RunRecordLine;

/** The same curves of the host that `--compare` trains alone. */
const SUFFIX: { readonly [P in Phase]: string } = { grow: "", host_alone: "_host_alone" };

/** As in lifecycle.proto. */
const STAGE_NUMBERS = new Map<unknown, number>(STAGES.map((stage, number) => [stage, number]));

interface Moment {
  readonly step: number;
  readonly atMs: number;
}

/** Makes points of the lines of one run, in their order. */
export class LogPoints {
  readonly #epochs: number;
  /** Those of one step that are under one tag are one note: TensorBoard keeps the last of a tag and step. */
  readonly #notes = new Map<string, { readonly at: Moment; readonly lines: string[] }>();
  #stepsTotal = 0;
  #lastStep = 0;
  #alerts = 0;

  /** @param epochs of the whole run */
  constructor(epochs: number) {
    this.#epochs = epochs;
  }

  /** @param atMs milliseconds since 1970-01-01 UTC */
  of(line: LoggedLine, atMs: number): LogPoint[] {
    switch (line.type) {
      case "step":
        return this.#step(line, atMs);
      case "epoch":
        return this.#epoch(line, atMs);
      case "event":
        return this.#event(line, atMs);
      case "alpha":
        return [scalar(`alpha/${line.seed_id}`, line.alpha, { step: line.step, atMs })];
      case "observation":
        return this.#observation(line, atMs);
      case "figures":
        return this.#figures(line, atMs);
      case "decision":
        return this.#decision(line, atMs);
      case "summary":
        return this.#summary(line, { step: this.#lastStep, atMs });
      default:
        return line satisfies never;
    }
  }

  /** The notes that still wait for the end of their step. */
  rest(): Note[] {
    return this.#notesBefore(Number.POSITIVE_INFINITY);
  }

  #step({ phase, step, steps_total, loss }: StepLine, atMs: number): LogPoint[] {
    this.#stepsTotal = steps_total;
    if (phase === "grow") this.#lastStep = step;
    return [...this.#notesBefore(step), scalar(`loss/train${SUFFIX[phase]}`, loss, { step, atMs })];
  }

  /** Of the growing run the observation at the end of the epoch says the same. */
  #epoch(line: EpochLine, atMs: number): LogPoint[] {
    const { phase, epoch, val_loss } = line;
    if (phase === "grow") return [];
    const at = { step: (epoch * this.#stepsTotal) / this.#epochs, atMs };
    return heldOut(phase, val_loss, scoreIn(line), at);
  }

  #observation(line: ObservationRecord, atMs: number): LogPoint[] {
    const at = { step: line.step, atMs };
    this.#lastStep = line.step;
    return [
      ...this.#notesBefore(line.step),
      ...heldOut(line.phase, line.val_loss, scoreIn(line), at),
      scalar("network/parameters", line.params_total, at),
      scalar("network/flops", line.flops_total, at),
      ...line.seeds.flatMap(({ id, shadow_gain, contribution }) => [
        ...measured(`shadow_gain/${id}`, shadow_gain, at),
        ...measured(`contribution/${id}`, contribution, at),
      ]),
    ];
  }

  #figures({ phase, step, leak_ratio, stall_ms, resident_bytes }: FiguresRecord, atMs: number): LogPoint[] {
    if (phase !== "grow") return [];
    const at = { step, atMs };
    return [
      ...measured("isolation/leak_ratio", leak_ratio, at),
      scalar("machine/stall_ms", stall_ms, at),
      ...measured("machine/resident_bytes", resident_bytes, at),
    ];
  }

  #event(line: EventLine, atMs: number): LogPoint[] {
    const { name, level, phase = "grow", step, seed_id: seed, type: _, ...attributes } = line;
    const at = { step: Number(step), atMs };
    const tag = `events/${seed ?? "run"}${SUFFIX[phase]}`;
    const points: LogPoint[] = this.#note(tag, eventText(name, level, attributes), at);
    if (level !== "INFO") points.push(scalar("alerts", ++this.#alerts, at));
    const stage = STAGE_NUMBERS.get(line.to);
    if (name === "seed_stage" && stage !== undefined) points.push(scalar(`stage/${seed}`, stage, at));
    return points;
  }

  #decision({ seed_id, why, step }: DecisionRecord, atMs: number): LogPoint[] {
    return this.#note(`decisions/${seed_id}`, why, { step, atMs });
  }

  #summary(summary: Summary, at: Moment): LogPoint[] {
    const { loss, metrics } = summary;
    const score = testScore(summary);
    const others = Object.entries(metrics ?? {}).filter(([name]) => name !== score.name);
    return [
      ...this.rest(),
      ...measured(`${score.name}/test`, score.value, at),
      ...measured(`${score.name}/test_host_alone`, score.alone, at),
      ...measured("loss/test", loss ?? null, at),
      ...others.flatMap(([name, value]) =>
        typeof value === "number" ? [scalar(`${name}/test`, value, at)] : [],
      ),
    ];
  }

  /** Keeps one line for the note of its step; returns what is complete by now. */
  #note(tag: string, text: string, at: Moment): LogPoint[] {
    const complete = this.#notesBefore(at.step);
    const open = this.#notes.get(tag);
    if (open) open.lines.push(text);
    else this.#notes.set(tag, { at, lines: [text] });
    return complete;
  }

  #notesBefore(step: number): Note[] {
    const complete: Note[] = [];
    for (const [tag, { at, lines }] of this.#notes) {
      if (at.step >= step) continue;
      this.#notes.delete(tag);
      complete.push({ kind: "note", tag, ...at, lines });
    }
    return complete;
  }
}

function scalar(tag: string, value: number, at: Moment): Scalar {
  return { kind: "scalar", tag, ...at, value };
}

/** None where it was not measured. */
function measured(tag: string, value: number | null, at: Moment): Scalar[] {
  return value === null ? [] : [scalar(tag, value, at)];
}

function heldOut(phase: Phase, loss: number | null, score: Score | undefined, at: Moment): Scalar[] {
  return [
    ...measured(`loss/held_out${SUFFIX[phase]}`, loss, at),
    ...(score ? [scalar(`${score.name}/held_out${SUFFIX[phase]}`, score.value, at)] : []),
  ];
}

function eventText(
  name: string,
  level: TelemetryLevel,
  attributes: Readonly<Record<string, AttributeValue | undefined>>,
): string {
  const said = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
  return [...(level === "INFO" ? [] : [level]), name, ...said].join(" ");
}
