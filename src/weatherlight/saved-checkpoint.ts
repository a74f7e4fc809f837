/** A run's checkpoint as it is saved: tensors by path, and everything else as one JSON text. */
import { z } from "zod";
import { fromJsonText, KasminaError, toJsonText } from "../base/index.js";
import type { Tensors } from "../contracts/index.js";
import type { Checkpoint, JsonObject } from "../tolaria/checkpoint.node.js";
import type { GrowCheckpoint, GrownSeed } from "./grow-result.js";
import type { SeedReport } from "./growth-lines.js";
import type { NetworkMeta } from "./inspect-run.js";
import type { OpenRun } from "./open-run.js";

/** Tensors of the state that a rollback would return to stand under this root. */
const GOOD_ROOT = "good/";

const networkStep = z.object({ network: z.object({ step: z.number() }) });

/** What the checkpoint is of, as it says itself. */
interface SavedRun {
  readonly runId: string;
  readonly config: JsonObject;
  readonly host: NetworkMeta["host"];
}

/** All of a checkpoint but its tensors. */
type Remainder = Omit<GrowCheckpoint, "tensors" | "good"> & {
  readonly good?: Omit<NonNullable<GrowCheckpoint["good"]>, "tensors">;
};

export function toSaved(run: SavedRun, checkpoint: GrowCheckpoint): Checkpoint {
  const { tensors, good, ...rest } = checkpoint;
  const { tensors: goodTensors = {}, ...goodRest } = good ?? {};
  const remainder = { ...rest, ...(good && { good: goodRest }) };
  const network: NetworkMeta = {
    step: checkpoint.step,
    epoch: checkpoint.epoch,
    host: run.host,
    seeds: checkpoint.seeds.map(reportSeed),
  };
  return {
    tensors: { ...tensors, ...underRoot(goodTensors) },
    meta: {
      run_id: run.runId,
      config: run.config,
      network: jsonOf(network),
      epoch_start: checkpoint.atEpochStart,
      state: toJsonText(remainder),
    },
  };
}

/** @throws KasminaError `corrupt` for a checkpoint that no run wrote */
export function fromSaved({ tensors, meta }: Checkpoint): GrowCheckpoint {
  if (typeof meta.state !== "string")
    throw new KasminaError("corrupt", "the checkpoint holds no state to resume from");
  const { good, ...rest } = fromJsonText(meta.state) as Remainder;
  const own = Object.entries(tensors).filter(([path]) => !path.startsWith(GOOD_ROOT));
  const kept = Object.entries(tensors).filter(([path]) => path.startsWith(GOOD_ROOT));
  const goodTensors = Object.fromEntries(
    kept.map(([path, tensor]) => [path.slice(GOOD_ROOT.length), tensor]),
  );
  return { ...rest, tensors: Object.fromEntries(own), good: good && { ...good, tensors: goodTensors } };
}

/** Whether it was taken at the first boundary of an epoch. */
export function isOfEpochStart({ meta }: Pick<Checkpoint, "meta">): boolean {
  return meta.epoch_start === true;
}

/** Steps done when it was taken. */
export function stepOf({ meta }: Pick<Checkpoint, "meta">): number | undefined {
  const parsed = networkStep.safeParse(meta);
  return parsed.data?.network.step;
}

export function savedRun({ runId, config, host }: Pick<OpenRun, "runId" | "config" | "host">): SavedRun {
  const blocks = host.blocks.map(({ name, outputShape, slot = false }) => ({
    name,
    output_shape: [...outputShape],
    slot,
  }));
  return {
    runId,
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

function underRoot(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([path, tensor]) => [`${GOOD_ROOT}${path}`, tensor]));
}

/** The value as JSON holds it: what is undefined is left out. */
export function jsonOf(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

/** A seed as the lines of a run tell of it. */
export function reportSeed({ seed, alpha, shadowGain, contribution }: GrownSeed): SeedReport {
  return {
    id: seed.id,
    blueprint: seed.blueprintId,
    slot: seed.slotId,
    stage: seed.stage,
    alpha,
    shadow_gain: shadowGain,
    contribution,
  };
}
