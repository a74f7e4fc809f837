/**
 * How well outputs fit labels, counted as they come: loss, accuracy, and what an accuracy hides where classes are of different
 * sizes. The values are those of scikit-learn's `balanced_accuracy_score`, `f1_score` and `confusion_matrix`.
 */
import { KasminaError } from "../base/errors.js";
import { maxOf, mean, sum } from "../base/statistics.js";

/** Metrics of one label a row, or of one at each position of a sequence. */
export interface ClassificationMetrics {
  /** Part of the labels that are right, over 0 .. 1; where k outputs are equal and the largest, the label is right by 1/k. */
  readonly accuracy: number;
  /** Mean over the classes that occur of the part that was found; 1/classes for who always says the same. */
  readonly balanced_accuracy: number;
  /** Mean over the classes that occur or are said of the harmonic mean of precision and recall. */
  readonly macro_f1: number;
  /** The same over all labels together; equal to the accuracy where no outputs are equal. */
  readonly micro_f1: number;
  /** confusion[i][j]: labels of class i that were said to be j. Left out for more than 256 classes. */
  readonly confusion?: readonly (readonly number[])[];
}

export interface SequenceMetrics {
  /** Part of the tokens that are the likeliest by the outputs. */
  readonly accuracy: number;
  /** e to the loss. */
  readonly perplexity: number;
}

/** As `kasmina evaluate --json` prints it. */
export interface Evaluation {
  readonly task: "classification" | "next-token";
  readonly rows: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
  readonly metrics: ClassificationMetrics | SequenceMetrics;
}

interface Labelled {
  /** Class numbers, one a row, or one at each position of a row. */
  readonly labels: Int32Array;
  readonly rows: number;
  readonly classes: number;
}

/**
 * @param outputs logits, [some rows, ...positions, classes] at a time
 * @throws KasminaError `loss_not_finite` for an output that is not finite
 */
export async function evaluationOf(
  outputs: AsyncIterable<Float32Array>,
  { labels, rows, classes }: Labelled,
): Promise<Evaluation> {
  const tally = new OutputTally(classes);
  for await (const logits of outputs) {
    const from = tally.count;
    tally.add(logits, labels.subarray(from, from + logits.length / classes));
  }
  const isSequence = labels.length !== rows;
  return {
    task: isSequence ? "next-token" : "classification",
    rows,
    loss: tally.loss,
    metrics: isSequence ? tally.sequence() : tally.classification(),
  };
}

/** A confusion matrix of more classes is megabytes that nobody looks at. */
const CONFUSION_CLASSES_MAX = 256;

export class OutputTally {
  readonly #classes: number;
  /** By class: how often it is the label, is said, and is said where it is the label. */
  readonly #occurs: Float64Array;
  readonly #said: Float64Array;
  readonly #found: Float64Array;
  readonly #confusion: Float64Array | undefined;
  #loss = 0;
  #right = 0;
  #count = 0;

  constructor(classes: number) {
    this.#classes = classes;
    this.#occurs = new Float64Array(classes);
    this.#said = new Float64Array(classes);
    this.#found = new Float64Array(classes);
    this.#confusion = classes <= CONFUSION_CLASSES_MAX ? new Float64Array(classes * classes) : undefined;
  }

  /**
   * @param logits [labels, classes]
   * @throws KasminaError `loss_not_finite` for an output that is not finite
   */
  add(logits: Float32Array, labels: Int32Array): void {
    const classes = this.#classes;
    for (const [row, label] of labels.entries()) {
      const outputs = logits.subarray(row * classes, (row + 1) * classes);
      if (!outputs.every(Number.isFinite))
        throw new KasminaError("loss_not_finite", "the network is wrecked: its outputs are not finite");
      const largest = maxOf(outputs);
      const own = outputs[label] ?? Number.NaN;
      const total = outputs.reduce((sum, value) => sum + Math.exp(value - largest), 0);
      this.#loss += largest + Math.log(total) - own;
      if (own === largest) this.#right += 1 / outputs.filter((value) => value === largest).length;
      this.#countLabel(label, outputs.indexOf(largest));
    }
  }

  #countLabel(label: number, said: number): void {
    increment(this.#occurs, label);
    increment(this.#said, said);
    if (said === label) increment(this.#found, label);
    if (this.#confusion) increment(this.#confusion, label * this.#classes + said);
    this.#count++;
  }

  /** Labels so far. */
  get count(): number {
    return this.#count;
  }

  /** Mean cross-entropy, in nats. */
  get loss(): number {
    return this.#loss / this.#count;
  }

  sequence(): SequenceMetrics {
    return { accuracy: this.#right / this.#count, perplexity: Math.exp(this.loss) };
  }

  classification(): ClassificationMetrics {
    const classes = Array.from({ length: this.#classes }, (_, i) => ({
      found: this.#found[i] ?? 0,
      occurs: this.#occurs[i] ?? 0,
      said: this.#said[i] ?? 0,
    }));
    const occurring = classes.filter(({ occurs }) => occurs > 0);
    const known = classes.filter(({ occurs, said }) => occurs + said > 0);
    const confusion = this.#confusion;
    return {
      accuracy: this.#right / this.#count,
      balanced_accuracy: mean(occurring.map(({ found, occurs }) => found / occurs)),
      macro_f1: mean(known.map(({ found, occurs, said }) => (2 * found) / (occurs + said))),
      micro_f1: sum(classes.map(({ found }) => found)) / this.#count,
      ...(confusion && {
        confusion: classes.map((_, i) => [
          ...confusion.subarray(i * classes.length, (i + 1) * classes.length),
        ]),
      }),
    };
  }
}

function increment(counts: Float64Array, at: number): void {
  counts[at] = (counts[at] ?? 0) + 1;
}
