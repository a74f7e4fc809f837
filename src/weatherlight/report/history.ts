/** What a run folder holds about the course of its run, put in order for the report. */
import { z } from "zod";
import { maxOf } from "../../base/index.js";
import { isRemoved, STAGES, type Stage, TASK_IDS, type TaskId } from "../../contracts/index.js";
import type { Summary } from "../folder/growth-lines.js";
import { type RunRecord, readEventLines, readLosses, readRunFolder } from "../folder/run-folder.js";
import { summaryOf } from "../folder/summary-file.js";

const measured = z.number().nullish();
const phase = z.enum(["grow", "host_alone"]);

const observationSchema = z.object({
  type: z.literal("observation"),
  phase,
  step: z.number(),
  train_loss: measured,
  val_loss: measured,
  val_loss_std_err: measured,
  val_accuracy: measured,
  val_r2: measured,
  val_micro_f1: measured,
  params_total: z.number(),
  flops_total: z.number(),
  at_ms: z.number().optional(),
  seeds: z.array(
    z.object({
      id: z.string(),
      slot: z.string(),
      blueprint: z.string(),
      stage: z.enum(STAGES),
      parameters: z.number(),
      shadow_gain: measured,
      shadow_gain_std_err: measured,
      contribution: measured,
      contribution_std_err: measured,
    }),
  ),
});
const figuresSchema = z.object({
  type: z.literal("figures"),
  phase,
  step: z.number(),
  leak_ratio: measured,
  stall_ms: measured,
  resident_bytes: measured,
});
const epochSchema = z.object({ type: z.literal("epoch"), phase, epoch: z.number() });
const alphaSchema = z.object({
  type: z.literal("alpha"),
  seed_id: z.string(),
  step: z.number(),
  alpha: z.number(),
});
const decisionSchema = z.object({
  type: z.literal("decision"),
  step: z.number(),
  seed_id: z.string(),
  action: z.string(),
  why: z.string(),
});
const eventSchema = z.looseObject({
  type: z.literal("event"),
  name: z.string(),
  level: z.enum(["INFO", "WARNING", "ERROR", "CRITICAL"]),
  step: z.number().default(0),
  seed_id: z.string().default(""),
});
const lineSchema = z.discriminatedUnion("type", [
  observationSchema,
  figuresSchema,
  epochSchema,
  alphaSchema,
  decisionSchema,
  eventSchema,
]);

/** A line of events.ndjson that the report draws. */
type Line = z.infer<typeof lineSchema>;
export type Observation = z.infer<typeof observationSchema>;
export type RunEvent = z.infer<typeof eventSchema>;
export type Figures = z.infer<typeof figuresSchema>;
type AlphaLine = z.infer<typeof alphaSchema>;
export type RunDecision = z.infer<typeof decisionSchema>;

/** A value at a step, with its standard error where there is one. */
export interface Sample {
  readonly step: number;
  readonly value: number;
  readonly stdErr?: number;
}

export interface StageSpan {
  readonly stage: Stage;
  readonly from: number;
  readonly to: number;
}

/** The life of one seed. */
export interface SeedTrack {
  readonly id: string;
  readonly slot: string;
  readonly blueprint: string;
  readonly parameters: number;
  readonly stages: readonly StageSpan[];
  readonly alpha: readonly Sample[];
  readonly shadowGain: readonly Sample[];
  readonly contribution: readonly Sample[];
}

export interface RunHistory {
  readonly runId: string;
  /** As run.json holds it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What the network is grown for. */
  readonly task: TaskId;
  /** Left out while the run goes on, and where it ended without one. */
  readonly summary?: Summary;
  readonly observations: readonly Observation[];
  /** Training loss of every step up to the last one, the first one's first; empty where the run kept none, NaN where one was lost. */
  readonly losses: Float32Array;
  /** Of the same host trained alone; empty without `--compare`. */
  readonly alone: readonly Observation[];
  /** Of monitor and machine, at the observations; empty for runs of the time before they were written. */
  readonly figures: readonly Figures[];
  /** Last steps of epochs. */
  readonly epochEnds: readonly number[];
  readonly seeds: readonly SeedTrack[];
  readonly events: readonly RunEvent[];
  readonly decisions: readonly RunDecision[];
  readonly lastStep: number;
}

/** @throws KasminaError `invalid_argument` where there is no run at `path`, `corrupt` where a file of it is not JSON */
export async function readRunHistory(path: string): Promise<RunHistory> {
  const record = await readRunFolder(path);
  const lines = new RunLines();
  lines.add(await readEventLines(record.path));
  return runHistory(record, lines, await readLosses(record.path));
}

/**
 * The history of a run from its folder's record, its lines and its losses.
 * @param until leaves out what came after this step, as if the run were there still
 */
export function runHistory(
  record: RunRecord,
  lines: RunLines,
  losses: Float32Array,
  until = Number.POSITIVE_INFINITY,
): RunHistory {
  const history = historyOf(lines, until);
  const about = z
    .object({
      run_id: z.string(),
      config: z.record(z.string(), z.unknown()),
      data: z.object({ task: z.enum(TASK_IDS).optional() }),
    })
    .partial()
    .safeParse(record.about);
  return {
    runId: about.data?.run_id ?? "unknown",
    config: about.data?.config ?? {},
    task: about.data?.data?.task ?? "classification",
    ...(record.summary !== undefined &&
      until === Number.POSITIVE_INFINITY && { summary: summaryOf(record.summary, record.path) }),
    ...history,
    losses: losses.subarray(0, history.lastStep),
  };
}

/** Lines of one type in order of steps. Of lines that a resumed run wrote again, the last one stands. */
class OncePerStep<L extends { readonly step: number }> {
  readonly #keyOf: (line: L) => string;
  readonly #known = new Map<string, L>();
  #sorted: readonly L[] | undefined;

  constructor(keyOf: (line: L) => string) {
    this.#keyOf = keyOf;
  }

  add(line: L): void {
    this.#known.set(`${line.step} ${this.#keyOf(line)}`, line);
    this.#sorted = undefined;
  }

  until(step: number): readonly L[] {
    this.#sorted ??= [...this.#known.values()].sort((a, b) => a.step - b.step);
    const last = this.#sorted.at(-1)?.step ?? 0;
    return last <= step ? this.#sorted : this.#sorted.filter((line) => line.step <= step);
  }
}

/** The lines of a run that the report knows, in order; more can be added as they are written. */
export class RunLines {
  readonly observations = new OncePerStep<Observation>(({ phase }) => phase);
  readonly figures = new OncePerStep<Figures>(({ phase }) => phase);
  readonly events = new OncePerStep<RunEvent>(({ step: _, ...event }) => JSON.stringify(event));
  readonly decisions = new OncePerStep<RunDecision>(({ seed_id, action }) => `${seed_id} ${action}`);
  readonly alphas = new OncePerStep<AlphaLine>(({ seed_id }) => seed_id);
  readonly #epochEnds = new Set<number>();
  /** Of the observation that was added last. */
  #step = 0;

  /** One that was cut off, or is of another type, is passed over. */
  add(lines: readonly string[]): void {
    for (const text of lines) {
      const line = lineOf(text);
      if (line) this.#addLine(line);
    }
  }

  /** Of the same lines the observations alone, but for what they say of seeds, which is nearly all of them. */
  addCourse(lines: readonly string[]): void {
    for (const text of lines) {
      if (!text.startsWith('{"type":"observation"')) continue;
      const seeds = text.indexOf(',"seeds":[');
      const line = lineOf(seeds < 0 ? text : `${text.slice(0, seeds)},"seeds":[]}`);
      if (line) this.#addLine(line);
    }
  }

  /** Last steps of epochs. */
  epochEnds(until: number): number[] {
    return [...this.#epochEnds].filter((step) => step <= until).sort((a, b) => a - b);
  }

  #addLine(line: Line): void {
    if (line.type === "event") this.events.add(line);
    else if (line.type === "alpha") this.alphas.add(line);
    else if (line.type === "decision") this.decisions.add(line);
    else if (line.type === "figures") this.figures.add(line);
    else if (line.type === "observation") {
      this.observations.add(line);
      if (line.phase === "grow") this.#step = line.step;
    }
    // The line of an epoch has no step: it stands behind the observation of its last one.
    else if (line.phase === "grow" && this.#step > 0) this.#epochEnds.add(this.#step);
  }
}

function lineOf(text: string): Line | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function historyOf(lines: RunLines, until: number) {
  const observed = lines.observations.until(until);
  const observations = observed.filter(({ phase }) => phase === "grow");
  const events = lines.events.until(until);
  const lastStep = maxOf([{ step: 1 }, ...lastOf(observations), ...lastOf(events)].map(({ step }) => step));
  const seeds = seedTracks(observations, events, lines.alphas.until(until), lastStep);
  const alone = observed.filter(({ phase }) => phase === "host_alone");
  const decisions = lines.decisions.until(until);
  const figures = lines.figures.until(until).filter((one) => one.phase === "grow");
  return {
    figures,
    observations,
    alone,
    epochEnds: lines.epochEnds(until),
    seeds,
    events,
    decisions,
    lastStep,
  };
}

function lastOf<L>(lines: readonly L[]): readonly L[] {
  return lines.slice(-1);
}

/** Germination order: the order in which the seeds were first reported. */
function seedTracks(
  observations: readonly Observation[],
  events: readonly RunEvent[],
  alphas: readonly AlphaLine[],
  lastStep: number,
): SeedTrack[] {
  const seen = reportsBySeed(observations);
  const told = bySeed(events, "seed_id");
  const moved = bySeed(alphas, "seed_id");
  const moves = bySeed(
    events.filter(({ name }) => name === "seed_stage"),
    "seed_id",
  );
  return [...moves].map(([id, own]) => {
    const reports = seen.get(id) ?? [];
    const first = reports[0]?.seed;
    const gate = told.get(id)?.find(({ slot_id }) => slot_id !== undefined);
    // What was measured stays in later observations: it is drawn for as long as it is measured.
    const samples = (name: "shadow_gain" | "contribution"): Sample[] =>
      reports.flatMap(({ step, seed }) => {
        if (seed.stage === "FOSSILIZED" || isRemoved(seed.stage)) return [];
        const [value, stdErr] = [seed[name], seed[`${name}_std_err`]];
        return typeof value === "number" ? { step, value, stdErr: stdErr ?? 0 } : [];
      });
    return {
      id,
      slot: first?.slot ?? String(gate?.slot_id ?? ""),
      blueprint: first?.blueprint ?? String(gate?.blueprint_id ?? ""),
      parameters: first?.parameters ?? 0,
      stages: stageSpans(own, lastStep),
      alpha: (moved.get(id) ?? []).map(({ step, alpha }) => ({ step, value: alpha })),
      shadowGain: samples("shadow_gain"),
      contribution: samples("contribution"),
    };
  });
}

interface SeedReportAt {
  readonly step: number;
  readonly seed: Observation["seeds"][number];
}

/** By id of the seed. Nothing is copied: a long run has hundreds of thousands of reports. */
function reportsBySeed(observations: readonly Observation[]): Map<string, SeedReportAt[]> {
  const reports = new Map<string, SeedReportAt[]>();
  for (const { step, seeds } of observations)
    for (const seed of seeds) {
      const known = reports.get(seed.id);
      if (known) known.push({ step, seed });
      else reports.set(seed.id, [{ step, seed }]);
    }
  return reports;
}

/** In the order in which the seeds first come. */
function bySeed<K extends string, L extends Readonly<Record<K, string>>>(
  lines: readonly L[],
  key: K,
): Map<string, L[]> {
  const groups = new Map<string, L[]>();
  for (const line of lines) {
    const group = groups.get(line[key]);
    if (group) group.push(line);
    else groups.set(line[key], [line]);
  }
  return groups;
}

function stageSpans(moves: readonly RunEvent[], lastStep: number): StageSpan[] {
  return moves.flatMap((move, i) => {
    const stage = STAGES.find((name) => name === move.to);
    return stage ? [{ stage, from: move.step, to: moves[i + 1]?.step ?? lastStep }] : [];
  });
}
