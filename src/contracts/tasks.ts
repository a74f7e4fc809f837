/**
 * What a network is grown for, as rooms that compute nothing speak of it: what its labels are, by which one figure a course is
 * followed, and in what its loss is counted. How each is computed stands in src/network/tasks.ts.
 */

/**
 * `classification`: one class a row. `next-token`: one at each position of a sequence. `regression`: numbers, one or several a
 * row. `multilabel`: any number of labels a row.
 */
export type TaskId = "classification" | "next-token" | "regression" | "multilabel";

export const TASK_IDS = [
  "classification",
  "next-token",
  "regression",
  "multilabel",
] as const satisfies readonly TaskId[];

/**
 * The one figure by which a course is followed: part of the rows (or positions) that is right, coefficient of determination, or F1
 * over all labels together.
 */
export type ScoreName = "accuracy" | "r2" | "micro_f1";

export interface Score {
  readonly name: ScoreName;
  /** 0 .. 1; R² is below 0 for what is worse than always saying the mean. */
  readonly value: number;
}

export interface TaskTraits {
  /** `class`: an int32 class number a row or position; `values`: a float32 for each of the network's outputs. */
  readonly labels: "class" | "values";
  readonly score: ScoreName;
  /** What the loss is, for people. */
  readonly loss: string;
  /** Of the loss and of what seeds take off it; empty where it has none. */
  readonly lossUnit: string;
}

export const TASK_TRAITS: { readonly [T in TaskId]: TaskTraits } = {
  classification: { labels: "class", score: "accuracy", loss: "cross-entropy in nats", lossUnit: "nats" },
  "next-token": { labels: "class", score: "accuracy", loss: "cross-entropy in nats", lossUnit: "nats" },
  regression: {
    labels: "values",
    score: "r2",
    loss: "squared error, targets in units of their standard deviation",
    lossUnit: "",
  },
  multilabel: {
    labels: "values",
    score: "micro_f1",
    loss: "binary cross-entropy in nats, mean over the labels",
    lossUnit: "nats",
  },
};

/** Between the labels of a row, where they stand in one cell. */
export const LABEL_SEPARATOR = ";";

/** What a score is called in the state that a policy sees. */
export const STATE_SCORES = {
  accuracy: "heldOutAccuracy",
  r2: "heldOutR2",
  micro_f1: "heldOutMicroF1",
} as const satisfies { readonly [S in ScoreName]: string };

/** Scores in words. */
export const SCORE_TITLES: { readonly [S in ScoreName]: string } = {
  accuracy: "accuracy",
  r2: "R²",
  micro_f1: "micro F1",
};

/** How a number to be predicted became a label: (value − mean) / deviation. */
export interface TargetScaling {
  readonly name: string;
  /** Over the training rows, in float64. */
  readonly mean: number;
  /** Over the training rows, in float64; never 0. */
  readonly deviation: number;
}
