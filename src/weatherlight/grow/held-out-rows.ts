/**
 * Which held-out rows every observation of a run looks at: so many as a part of what judging may cost pays for. What is left of that goes into
 * comparisons of seeds, on rows that change (src/tolaria/held-out.ts).
 */
import { type AnyDataset, sizeOf, TASK_TRAITS, taskOf } from "../../contracts/index.js";
import { DrawnRows } from "../../data/drawn-rows.js";
import { EVALUATION_SHARE, type HeldOutRows } from "../../tolaria/index.js";
import type { HostFlops } from "./host-flops.js";
import { type Observations, observationsUntil } from "./observations.js";

/** Of what judging may cost, the test rows aside: the rows that every observation looks at, whether a seed grows or not. */
const FIXED_PART = 0.4;
/** Labels of an evaluation batch, which is the least that is looked at: fewer would judge by chance. */
const LABELS = 64;
/** The positions of one sequence say less than those of several. */
const LEAST_SEQUENCES = 16;
/** Outputs of an evaluation batch, at most: each float32 of them is held several times (3,000 classes of characters took 2 GiB). */
const BATCH_OUTPUTS = 4 * 1_024 * 1_024;

export interface PlannedRun extends Observations {
  readonly dataset: AnyDataset;
  readonly epochs: number;
  /** Rows of an evaluation batch. */
  readonly evaluationBatch: number;
  readonly hostFlops: HostFlops;
  readonly seed: number;
}

/** Rows of an evaluation batch: as few as are ever looked at, so that none is filled up for nothing. */
export function evaluationBatchOf(dataset: AnyDataset): number {
  const { classes, heldOut } = dataset;
  const labels = sizeOf(heldOut.labelShape);
  const isValues = TASK_TRAITS[taskOf(dataset)].labels === "values";
  const positions = isValues ? 1 : labels;
  const least = positions === 1 ? LABELS : Math.max(LEAST_SEQUENCES, Math.ceil(LABELS / positions));
  const inMemory = Math.floor(BATCH_OUTPUTS / (isValues ? labels : classes * labels));
  return Math.max(1, Math.min(evenly(heldOut.count, least), inMemory));
}

/** The held-out rows as the run looks at them: in an order that follows from its random seed. */
export function heldOutRows({ dataset, seed, ...run }: PlannedRun): HeldOutRows {
  const { evaluationBatch: batch } = run;
  const { heldOut, test, inputShape } = dataset;
  const fixed = Math.min(heldOut.count, fixedBatches({ dataset, ...run }) * batch);
  return { rows: new DrawnRows(heldOut, inputShape, { batch, seed }), fixed, atTheEnd: test.count };
}

function fixedBatches(run: Omit<PlannedRun, "seed">): number {
  const { dataset, epochs, evaluationBatch, hostFlops, ...when } = run;
  const steps = epochs * when.stepsPerEpoch;
  const batches = (EVALUATION_SHARE * steps * hostFlops.train) / hostFlops.evaluation;
  const atTheEnd = Math.ceil(dataset.test.count / evaluationBatch);
  const observations = Math.max(1, observationsUntil(steps, when));
  return Math.max(1, Math.floor((FIXED_PART * (batches - atTheEnd)) / observations));
}

/** Rows of a batch, at most `batch`, of which so many fill a whole number with as little padding as can be. */
function evenly(rows: number, batch: number): number {
  return Math.ceil(rows / Math.max(1, Math.ceil(rows / batch)));
}
