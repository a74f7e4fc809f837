/** A run's checkpoint as it is saved: tensors by path, and everything else as one JSON text. */
import { z } from "zod";
import { fromJsonText, KasminaError, messageOf, toJsonText } from "../../base/index.js";
import { nonFinitePaths, STAGES, type Tensors } from "../../contracts/index.js";
import type { JournalMark } from "../../kasmina/index.node.js";
import type { Host } from "../../nn/index.js";
import type { RunCheckpoint, SeedOutcome } from "../grow/run-outcome.js";
import type { Checkpoint, JsonObject } from "./checkpoint.js";
import type { SeedReport } from "./growth-lines.js";

/** Tensors of the state that a rollback would return to stand under this root. */
const GOOD_ROOT = "good/";
/** Parameters of the best network stand under this one. */
const BEST_ROOT = "best/";

/** The part of a checkpoint's meta that describes the network, under the key `network`. */
const networkSchema = z.object({
  step: z.number(),
  epoch: z.number(),
  /** As last measured, in nats; null where it was not finite, left out where it was not measured yet. */
  held_out_loss: z.number().nullable().optional(),
  host: z.object({
    id: z.string(),
    input_shape: z.array(z.number()),
    input_dtype: z.enum(["float32", "int32"]),
    classes: z.number(),
    blocks: z.array(z.object({ name: z.string(), output_shape: z.array(z.number()), slot: z.boolean() })),
  }),
  seeds: z.array(
    z.object({
      id: z.string(),
      blueprint: z.string(),
      slot: z.string(),
      stage: z.enum(STAGES),
      alpha: z.number(),
      shadow_gain: z.number().nullable(),
      contribution: z.number().nullable(),
      inherited: z.literal(true).optional(),
    }),
  ),
});

/** What the trainer writes into a checkpoint so that a run can be looked at without being started. */
export type NetworkMeta = z.infer<typeof networkSchema>;

/** What is known of how well it did. */
export type Evaluated = Pick<NetworkMeta, "held_out_loss">;

/** All of a checkpoint's meta: whose it is, what it is of, and the state as one JSON text. */
const metaSchema = z.object({
  run_id: z.string(),
  network: networkSchema,
  epoch_start: z.boolean().default(false),
  state: z.string(),
});

export type CheckpointMeta = z.infer<typeof metaSchema>;

/** @throws KasminaError `corrupt` for a checkpoint that no run wrote */
export function checkpointMetaOf(meta: unknown): CheckpointMeta {
  const result = metaSchema.safeParse(meta);
  if (result.success) return result.data;
  const where = result.error.issues[0]?.path.join(".") ?? "";
  throw new KasminaError("corrupt", `the checkpoint does not describe its run: ${where} does not fit`);
}

/** What the checkpoint is of, as it says itself. */
interface SavedRun {
  readonly runId: string;
  readonly config: JsonObject;
  readonly host: NetworkMeta["host"];
  /** How far the journal had come; left out where the run keeps none. */
  readonly journal?: JournalMark;
  /** Digest of what the run goes on from. */
  readonly parent?: string;
}

const markSchema = z.object({ last_sequence: z.int().min(0), fetch_results: z.int().min(0) });

/** How far the journal had come when a checkpoint was taken, and the run that took it, as far as it says so. */
export function originOf({ meta }: Pick<Checkpoint, "meta">): { runId: string; journal?: JournalMark } {
  const mark = markSchema.safeParse(meta.journal).data;
  return {
    runId: String(meta.run_id),
    ...(mark && { journal: { lastSequence: mark.last_sequence, fetchResults: mark.fetch_results } }),
  };
}

const count = z.int().min(0);
/** A figure that may be infinite or NaN. */
const figure = z.custom<number>((value) => typeof value === "number");

const seedSchema = z.looseObject({
  id: z.string(),
  slotId: z.string(),
  blueprintId: z.string(),
  parameters: z.record(z.string(), z.number()),
  stage: z.enum(STAGES),
  germinationOrder: count,
  germinatedAtStep: count,
  blend: z.looseObject({ mode: z.string(), alphaTarget: figure, schedule: z.looseObject({ steps: figure }) }),
  stats: z.looseObject({ gradientNorms: z.array(figure) }),
});
const controlSchema = z.looseObject({
  version: z.literal(1),
  seeds: z.array(seedSchema),
  germinations: count,
  plan: z.looseObject({}),
  closures: z.array(z.looseObject({})),
  journalSequence: count,
});
const goodSchema = z.looseObject({
  step: count,
  kasmina: controlSchema,
  hyper: z.record(z.string(), z.looseObject({})),
});
/** What every reader of a checkpoint relies on; what a run alone goes on from stands in a checkpoint that bears its seal. */
const remainderSchema = goodSchema.extend({
  epoch: count,
  epochLosses: z.array(figure),
  watchedLosses: z.array(figure),
  commands: z.looseObject({ accepted: count, rejected: count }),
  seeds: z.array(z.looseObject({ seed: seedSchema, alpha: figure })),
  good: goodSchema.optional(),
  bestNetwork: z.looseObject({ step: count, heldOutLoss: figure, kasmina: controlSchema }).optional(),
});

/** All of a checkpoint but its tensors. */
type Remainder = Omit<RunCheckpoint, "tensors" | "good" | "bestNetwork"> & {
  readonly good?: Omit<NonNullable<RunCheckpoint["good"]>, "tensors">;
  readonly bestNetwork?: Omit<NonNullable<RunCheckpoint["bestNetwork"]>, "tensors">;
};

export function toSaved(run: SavedRun, checkpoint: RunCheckpoint): Checkpoint {
  const { tensors, good, bestNetwork, ...rest } = checkpoint;
  const { tensors: goodTensors = {}, ...goodRest } = good ?? {};
  const { tensors: bestTensors = {}, ...bestRest } = bestNetwork ?? {};
  const remainder = {
    ...rest,
    ...(good && { good: goodRest }),
    ...(bestNetwork && { bestNetwork: bestRest }),
  };
  const network: NetworkMeta = {
    step: checkpoint.step,
    epoch: checkpoint.epoch,
    ...(checkpoint.heldOutLoss !== undefined && { held_out_loss: finiteOrNull(checkpoint.heldOutLoss) }),
    host: run.host,
    seeds: checkpoint.seeds.map(reportSeed),
  };
  return {
    tensors: { ...tensors, ...underRoot(GOOD_ROOT, goodTensors), ...underRoot(BEST_ROOT, bestTensors) },
    meta: {
      run_id: run.runId,
      ...(run.journal && {
        journal: { last_sequence: run.journal.lastSequence, fetch_results: run.journal.fetchResults },
      }),
      ...(run.parent !== undefined && { parent: run.parent }),
      config: run.config,
      network: jsonOf(network),
      epoch_start: checkpoint.atEpochStart,
      state: toJsonText(remainder),
    },
  };
}

/** @throws KasminaError `corrupt` for a checkpoint that no run wrote */
export function fromSaved({ tensors, meta }: Checkpoint): RunCheckpoint {
  if (typeof meta.state !== "string")
    throw new KasminaError("corrupt", "the checkpoint holds no state to resume from");
  const { good, bestNetwork, ...rest } = remainderOf(meta.state);
  const own = Object.entries(tensors).filter(
    ([path]) => ![GOOD_ROOT, BEST_ROOT].some((root) => path.startsWith(root)),
  );
  return {
    ...rest,
    tensors: Object.fromEntries(own),
    good: good && { ...good, tensors: belowRoot(GOOD_ROOT, tensors) },
    ...(bestNetwork && { bestNetwork: { ...bestNetwork, tensors: belowRoot(BEST_ROOT, tensors) } }),
  };
}

function remainderOf(text: string): Remainder {
  try {
    const value = fromJsonText(text);
    remainderSchema.parse(value);
    return value as Remainder;
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const what = issue ? `${issue.path.join(".")} does not fit` : messageOf(error);
    throw new KasminaError("corrupt", `the checkpoint's state is not one that a run wrote: ${what}`, {
      cause: error,
    });
  }
}

/** Whether it was taken at the first boundary of an epoch. */
export function isOfEpochStart({ meta }: Pick<Checkpoint, "meta">): boolean {
  return meta.epoch_start === true;
}

/** Steps done when it was taken. */
export function stepOf({ meta }: Pick<Checkpoint, "meta">): number | undefined {
  return networkSchema.safeParse(meta.network).data?.step;
}

export function savedRun({
  runId,
  config,
  host,
  journal,
  parent,
}: {
  readonly runId: string;
  readonly config: object;
  readonly host: Host;
  readonly journal?: JournalMark | undefined;
  readonly parent?: string | undefined;
}): SavedRun {
  const blocks = host.blocks.map(({ name, outputShape, slot = false }) => ({
    name,
    output_shape: [...outputShape],
    slot,
  }));
  return {
    runId,
    ...(journal && { journal }),
    ...(parent !== undefined && { parent }),
    config: jsonOf(config),
    host: {
      id: host.id,
      input_shape: [...host.inputShape],
      input_dtype: host.inputDType,
      classes: host.classes,
      blocks,
    },
  };
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/**
 * Why nobody can use a network: values of its parameters, or what it computes of rows it was evaluated on, are not
 * finite. Undefined where nothing of that is known.
 */
export function wreckOf(network: Evaluated, parameters: Tensors): string | undefined {
  const [first, ...others] = nonFinitePaths(parameters);
  const rest = others.length > 0 ? ` and ${others.length} more tensors` : "";
  if (first !== undefined) return `${first}${rest} hold values that are not finite`;
  return network.held_out_loss === null ? "its loss on the held-out rows is not finite" : undefined;
}

/**
 * Nobody can use such a network, and nobody would notice later.
 * @throws KasminaError `loss_not_finite` naming the source and why
 */
export function refuseWrecked(network: Evaluated, parameters: Tensors, source: string): void {
  const why = wreckOf(network, parameters);
  if (why !== undefined)
    throw new KasminaError("loss_not_finite", `${source}: the network is wrecked: ${why}`);
}

function underRoot(root: string, tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([path, tensor]) => [`${root}${path}`, tensor]));
}

function belowRoot(root: string, tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([path, tensor]) =>
      path.startsWith(root) ? [[path.slice(root.length), tensor]] : [],
    ),
  );
}

/** The value as JSON holds it: what is undefined is left out. */
export function jsonOf(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

/** A seed as the lines of a run report it. */
export function reportSeed({ seed, alpha, shadowGain, contribution }: SeedOutcome): SeedReport {
  return {
    id: seed.id,
    blueprint: seed.blueprintId,
    slot: seed.slotId,
    stage: seed.stage,
    alpha,
    shadow_gain: shadowGain,
    contribution,
    ...(seed.inherited && { inherited: seed.inherited }),
  };
}
