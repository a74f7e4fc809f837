/** What a run folder holds about the course of its run, put in order for the report. */
import { z } from "zod";
import { maxOf } from "../../base/index.js";
import { isRemoved, STAGES, type Stage, TASK_IDS, type TaskId } from "../../contracts/index.js";
import type { Summary } from "../folder/growth-lines.js";
import { type RunRecord, readEventLines, readRunFolder } from "../folder/run-folder.js";
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
  epochSchema,
  alphaSchema,
  decisionSchema,
  eventSchema,
]);

/** A line of events.ndjson that the report draws. */
export type Line = z.infer<typeof lineSchema>;
export type Observation = z.infer<typeof observationSchema>;
export type RunEvent = z.infer<typeof eventSchema>;
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
  /** Of the same host trained alone; empty without `--compare`. */
  readonly alone: readonly Observation[];
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
  return runHistory(record, linesOf(await readEventLines(record.path)));
}

/**
 * The history of a run from its folder's record and its lines.
 * @param until leaves out what came after this step, as if the run were there still
 */
export function runHistory(record: RunRecord, lines: readonly Line[], until?: number): RunHistory {
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
      until === undefined && { summary: summaryOf(record.summary, record.path) }),
    ...historyOf(until === undefined ? lines : linesUntil(lines, until)),
  };
}

/** The line of an epoch has no step: it stands behind the observation of its last one. */
function linesUntil(lines: readonly Line[], until: number): Line[] {
  let step = 0;
  return lines.filter((line) => {
    if (line.type !== "epoch" && line.step !== undefined) step = line.step;
    return step <= until;
  });
}

/** The lines that the report knows. One that was cut off, or is of another type, is passed over. */
export function linesOf(lines: readonly string[]): Line[] {
  return lines.flatMap((line) => {
    try {
      const parsed = lineSchema.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}

function historyOf(lines: readonly Line[]) {
  const observed = onceAStep(
    lines.filter((line) => line.type === "observation"),
    ({ phase }) => phase,
  );
  const observations = observed.filter(({ phase }) => phase === "grow");
  const events = onceAStep(
    lines.filter((line) => line.type === "event"),
    ({ step: _, ...event }) => JSON.stringify(event),
  );
  const decisions = onceAStep(
    lines.filter((line) => line.type === "decision"),
    ({ seed_id, action }) => `${seed_id} ${action}`,
  );
  const alphas = onceAStep(
    lines.filter((line) => line.type === "alpha"),
    ({ seed_id }) => seed_id,
  );
  const lastStep = maxOf([{ step: 1 }, ...observations, ...events].map(({ step }) => step));
  const seeds = seedTracks(observations, events, alphas, lastStep);
  const alone = observed.filter(({ phase }) => phase === "host_alone");
  return { observations, alone, epochEnds: epochEnds(lines), seeds, events, decisions, lastStep };
}

/** In order of steps. Of lines that a resumed run wrote again, the last one stands. */
function onceAStep<L extends { readonly step: number }>(
  lines: readonly L[],
  keyOf: (line: L) => string,
): L[] {
  const known = new Map(lines.map((line) => [`${line.step} ${keyOf(line)}`, line]));
  return [...known.values()].sort((a, b) => a.step - b.step);
}

/** The line of an epoch follows the observation of its last step. */
function epochEnds(lines: readonly Line[]): number[] {
  const ends = new Set<number>();
  let step = 0;
  for (const line of lines) {
    if (line.type === "observation" && line.phase === "grow") step = line.step;
    if (line.type === "epoch" && line.phase === "grow" && step > 0) ends.add(step);
  }
  return [...ends].sort((a, b) => a - b);
}

/** Germination order: the order in which the seeds were first reported. */
function seedTracks(
  observations: readonly Observation[],
  events: readonly RunEvent[],
  alphas: readonly { readonly seed_id: string; readonly step: number; readonly alpha: number }[],
  lastStep: number,
): SeedTrack[] {
  const moves = events.filter(({ name }) => name === "seed_stage");
  return [...new Set(moves.map(({ seed_id }) => seed_id))].map((id) => {
    const seen = observations.flatMap(({ step, seeds }) =>
      seeds.filter((seed) => seed.id === id).map((seed) => ({ step, ...seed })),
    );
    const [first] = seen;
    const gate = events.find((event) => event.seed_id === id && event.slot_id !== undefined);
    // What was measured stays in later observations: it is drawn for as long as it is measured.
    const samples = (name: "shadow_gain" | "contribution"): Sample[] =>
      seen.flatMap((seed) => {
        if (seed.stage === "FOSSILIZED" || isRemoved(seed.stage)) return [];
        const [value, stdErr] = [seed[name], seed[`${name}_std_err`]];
        return typeof value === "number" ? [{ step: seed.step, value, stdErr: stdErr ?? 0 }] : [];
      });
    return {
      id,
      slot: first?.slot ?? String(gate?.slot_id ?? ""),
      blueprint: first?.blueprint ?? String(gate?.blueprint_id ?? ""),
      parameters: first?.parameters ?? 0,
      stages: stageSpans(
        moves.filter(({ seed_id }) => seed_id === id),
        lastStep,
      ),
      alpha: alphas
        .filter(({ seed_id }) => seed_id === id)
        .map(({ step, alpha }) => ({ step, value: alpha })),
      shadowGain: samples("shadow_gain"),
      contribution: samples("contribution"),
    };
  });
}

function stageSpans(moves: readonly RunEvent[], lastStep: number): StageSpan[] {
  return moves.flatMap((move, i) => {
    const stage = STAGES.find((name) => name === move.to);
    return stage ? [{ stage, from: move.step, to: moves[i + 1]?.step ?? lastStep }] : [];
  });
}
