/**
 * How well outputs fit labels, counted as they come: loss, accuracy, and what an accuracy hides where classes are of different
 * sizes; of numbers their errors; of several labels how well each is told. The values are those of scikit-learn's
 * `balanced_accuracy_score`, `f1_score`, `confusion_matrix`, `mean_squared_error`, `mean_absolute_error`, `r2_score`,
 * `average_precision_score` and `hamming_loss`.
 */
import { KasminaError } from "../base/errors.js";
import { maxOf, mean, sum } from "../base/statistics.js";
import type { TargetScaling } from "../contracts/index.js";

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
  /** e to the loss: of a token, so that it says nothing beside that of another vocabulary. */
  readonly perplexity: number;
  /** Of a text: the bits that the network takes for a byte of UTF-8, whatever its tokens are. */
  readonly bits_per_byte?: number;
}

/** Errors in a target's own units, and how much of what it varies by is told. */
export interface TargetMetrics {
  /** Square root of the mean squared error. */
  readonly rmse: number;
  /** Mean of the errors' sizes. */
  readonly mae: number;
  /** Coefficient of determination: 1 at best, 0 for who always says the mean, below 0 for what is worse. */
  readonly r2: number;
}

/** Of several targets the mean over them, and each under its name. */
export interface RegressionMetrics extends TargetMetrics {
  /** Left out for one target. */
  readonly targets?: Readonly<Record<string, TargetMetrics>>;
}

export interface LabelMetrics {
  /** Area under the curve of precision over recall, in steps; null where no row has the label. */
  readonly average_precision: number | null;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** A label is said where its probability is above a half. */
export interface MultilabelMetrics {
  /** Mean over the labels that occur of their average precision; null where none does. */
  readonly average_precision: number | null;
  /** Mean over the labels of their F1, which is 0 for one that neither occurs nor is said. */
  readonly macro_f1: number;
  /** F1 over all labels of all rows together. */
  readonly micro_f1: number;
  /** Part of all labels of all rows that is wrong. */
  readonly hamming_loss: number;
  readonly labels: Readonly<Record<string, LabelMetrics>>;
}

export type Metrics = ClassificationMetrics | SequenceMetrics | RegressionMetrics | MultilabelMetrics;

/** Counts outputs as they come. */
export interface Tally {
  /**
   * @param outputs [some, classes] @param labels of those: class numbers, or a value for each output
   * @param weights [some]: how much each counts; left out, all count alike
   * @throws KasminaError `loss_not_finite` for an output that is not finite
   */
  add(outputs: Float32Array, labels: Int32Array | Float32Array, weights?: Float32Array): void;
  /** Mean so far. */
  readonly loss: number;
  metrics(): Metrics;
}

/** @throws KasminaError `loss_not_finite` where one is not finite */
export function requireFiniteOutputs(outputs: Float32Array): void {
  if (!outputs.every(Number.isFinite))
    throw new KasminaError("loss_not_finite", "the network is wrecked: its outputs are not finite");
}

/** Of two classes, whether the second is said. @param outputs of the two, before the softmax */
export function saysSecond(outputs: Float32Array, threshold: number): boolean {
  return probabilityOfSecond(outputs) >= threshold;
}

/** Of two classes. @param outputs of the two, before the softmax */
export function probabilityOfSecond([first = Number.NaN, second = Number.NaN]: Float32Array): number {
  return 1 / (1 + Math.exp(first - second));
}

/** A confusion matrix of more classes is megabytes that nobody looks at. */
const CONFUSION_CLASSES_MAX = 256;

abstract class ClassTally implements Tally {
  readonly #classes: number;
  readonly #threshold: number | undefined;
  /** By class: how often it is the label, is said, and is said where it is the label. */
  readonly #occurs: Float64Array;
  readonly #said: Float64Array;
  readonly #found: Float64Array;
  readonly #confusion: Float64Array | undefined;
  #loss = 0;
  #right = 0;
  #count = 0;

  /** @param threshold of two classes: the probability from which the second is said; left out, the likelier one is */
  constructor(classes: number, threshold?: number) {
    this.#classes = classes;
    this.#threshold = threshold;
    this.#occurs = new Float64Array(classes);
    this.#said = new Float64Array(classes);
    this.#found = new Float64Array(classes);
    this.#confusion = classes <= CONFUSION_CLASSES_MAX ? new Float64Array(classes * classes) : undefined;
  }

  abstract metrics(): Metrics;

  add(logits: Float32Array, labels: Int32Array | Float32Array, weights?: Float32Array): void {
    const classes = this.#classes;
    requireFiniteOutputs(logits);
    for (const [row, label] of labels.entries()) {
      const weight = weights?.[row] ?? 1;
      const outputs = logits.subarray(row * classes, (row + 1) * classes);
      const largest = maxOf(outputs);
      const own = outputs[label] ?? Number.NaN;
      const total = outputs.reduce((sum, value) => sum + Math.exp(value - largest), 0);
      this.#loss += weight * (largest + Math.log(total) - own);
      const said = this.#saidOf(outputs, largest);
      // Of equal outputs none is said before the other.
      if (this.#threshold === undefined && own === largest)
        this.#right += weight / outputs.filter((value) => value === largest).length;
      else if (this.#threshold !== undefined && said === label) this.#right += weight;
      this.#countLabel(label, said, weight);
    }
  }

  #saidOf(outputs: Float32Array, largest: number): number {
    if (this.#threshold === undefined) return outputs.indexOf(largest);
    return saysSecond(outputs, this.#threshold) ? 1 : 0;
  }

  #countLabel(label: number, said: number, weight: number): void {
    increment(this.#occurs, label, weight);
    increment(this.#said, said, weight);
    if (said === label) increment(this.#found, label, weight);
    if (this.#confusion) increment(this.#confusion, label * this.#classes + said, weight);
    this.#count += weight;
  }

  /** Mean cross-entropy, in nats. */
  get loss(): number {
    return this.#loss / this.#count;
  }

  /** Of all labels, in nats. */
  protected get total(): number {
    return this.#loss;
  }

  protected get accuracy(): number {
    return this.#right / this.#count;
  }

  protected classification(): ClassificationMetrics {
    const classes = Array.from({ length: this.#classes }, (_, i) => ({
      found: this.#found[i] ?? 0,
      occurs: this.#occurs[i] ?? 0,
      said: this.#said[i] ?? 0,
    }));
    const occurring = classes.filter(({ occurs }) => occurs > 0);
    const known = classes.filter(({ occurs, said }) => occurs + said > 0);
    const confusion = this.#confusion;
    return {
      accuracy: this.accuracy,
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

export class ClassificationTally extends ClassTally {
  metrics(): ClassificationMetrics {
    return this.classification();
  }
}

export class SequenceTally extends ClassTally {
  readonly #textBytes: number | undefined;

  /** @param textBytes that all labels together stand for, where they are a text */
  constructor(classes: number, textBytes?: number) {
    super(classes);
    this.#textBytes = textBytes;
  }

  metrics(): SequenceMetrics {
    const bytes = this.#textBytes;
    return {
      accuracy: this.accuracy,
      perplexity: Math.exp(this.loss),
      ...(bytes !== undefined && { bits_per_byte: this.total / Math.LN2 / bytes }),
    };
  }
}

/** Added up in units of the targets' deviations, in which sums of squares stay small. */
export class RegressionTally implements Tally {
  readonly #targets: readonly TargetScaling[];
  readonly #squared: Float64Array;
  readonly #size: Float64Array;
  readonly #target: Float64Array;
  readonly #targetSquared: Float64Array;
  #rows = 0;

  constructor(targets: readonly TargetScaling[]) {
    this.#targets = targets;
    const zeros = (): Float64Array => new Float64Array(targets.length);
    [this.#squared, this.#size, this.#target, this.#targetSquared] = [zeros(), zeros(), zeros(), zeros()];
  }

  add(outputs: Float32Array, labels: Int32Array | Float32Array, weights?: Float32Array): void {
    requireFiniteOutputs(outputs);
    const count = this.#targets.length;
    for (const [i, output] of outputs.entries()) {
      const weight = weights?.[Math.floor(i / count)] ?? 1;
      const target = labels[i] ?? Number.NaN;
      const error = Math.abs(output - target);
      increment(this.#squared, i % count, weight * error ** 2);
      increment(this.#size, i % count, weight * error);
      increment(this.#target, i % count, weight * target);
      increment(this.#targetSquared, i % count, weight * target ** 2);
    }
    this.#rows += weights ? sum([...weights]) : outputs.length / count;
  }

  /** Mean squared error in units of the targets' deviations, over rows and targets. */
  get loss(): number {
    return mean([...this.#squared]) / this.#rows;
  }

  metrics(): RegressionMetrics {
    const each = this.#targets.map(({ name, deviation }, i): [string, TargetMetrics] => {
      const squared = this.#squared[i] ?? Number.NaN;
      const varied = (this.#targetSquared[i] ?? Number.NaN) - (this.#target[i] ?? 0) ** 2 / this.#rows;
      return [
        name,
        {
          rmse: deviation * Math.sqrt(squared / this.#rows),
          mae: (deviation * (this.#size[i] ?? Number.NaN)) / this.#rows,
          r2: determination(squared, varied),
        },
      ];
    });
    const over = (metric: keyof TargetMetrics): number => mean(each.map(([, metrics]) => metrics[metric]));
    return {
      ...{ rmse: over("rmse"), mae: over("mae"), r2: over("r2") },
      ...(each.length > 1 && { targets: Object.fromEntries(each) }),
    };
  }
}

/** 1 − squared errors / squared differences from the mean. Of what does not vary, 1 where it is hit and else 0. */
export function determination(squaredErrors: number, varied: number): number {
  if (varied > 0 || Number.isNaN(squaredErrors)) return 1 - squaredErrors / varied;
  return squaredErrors === 0 ? 1 : 0;
}

/** How often a label holds, is said, and is said where it holds. */
interface LabelCounts {
  readonly occurs: number;
  readonly said: number;
  readonly found: number;
}

/** Harmonic mean of precision and recall; 0 for what neither occurs nor is said. */
export function f1({ occurs, said, found }: LabelCounts): number {
  return occurs + said === 0 ? 0 : (2 * found) / (occurs + said);
}

/** Keeps every output: an average precision is one of their order. */
export class MultilabelTally implements Tally {
  readonly #names: readonly string[];
  readonly #outputs: Float32Array[] = [];
  readonly #labels: (Int32Array | Float32Array)[] = [];
  readonly #weights: (Float32Array | undefined)[] = [];
  #loss = 0;
  #count = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  add(outputs: Float32Array, labels: Int32Array | Float32Array, weights?: Float32Array): void {
    requireFiniteOutputs(outputs);
    this.#outputs.push(outputs.slice());
    this.#labels.push(labels.slice());
    this.#weights.push(weights?.slice());
    for (const [i, output] of outputs.entries()) {
      const weight = weights?.[Math.floor(i / this.#names.length)] ?? 1;
      // log(1 + e^x) − x·label, written so that e^x does not overflow.
      const softplus = Math.max(output, 0) + Math.log1p(Math.exp(-Math.abs(output)));
      this.#loss += weight * (softplus - output * (labels[i] ?? Number.NaN));
      this.#count += weight;
    }
  }

  get loss(): number {
    return this.#loss / this.#count;
  }

  metrics(): MultilabelMetrics {
    const each = this.#names.map((name, i) => ({ name, rows: this.#rowsOf(i) }));
    const labels = each.map(({ name, rows }) => ({ name, counts: countsOf(rows), rows }));
    const total = (key: keyof LabelCounts): number => sum(labels.map(({ counts }) => counts[key]));
    const [occurs, said, found] = [total("occurs"), total("said"), total("found")];
    const own = labels.map(({ name, counts, rows }): [string, LabelMetrics] => [
      name,
      {
        average_precision: averagePrecision(rows),
        precision: counts.said === 0 ? 0 : counts.found / counts.said,
        recall: counts.occurs === 0 ? 0 : counts.found / counts.occurs,
        f1: f1(counts),
      },
    ]);
    const precisions = own.flatMap(([, { average_precision: one }]) => (one === null ? [] : [one]));
    return {
      average_precision: precisions.length === 0 ? null : mean(precisions),
      macro_f1: mean(own.map(([, metrics]) => metrics.f1)),
      micro_f1: f1({ occurs, said, found }),
      hamming_loss: (occurs + said - 2 * found) / this.#count,
      labels: Object.fromEntries(own),
    };
  }

  #rowsOf(label: number): LabelledOutput[] {
    const size = this.#names.length;
    return this.#outputs.flatMap((outputs, part) =>
      Array.from({ length: outputs.length / size }, (_, row) => ({
        output: outputs[row * size + label] ?? Number.NaN,
        holds: this.#labels[part]?.[row * size + label] === 1,
        weight: this.#weights[part]?.[row] ?? 1,
      })),
    );
  }
}

interface LabelledOutput {
  readonly output: number;
  readonly holds: boolean;
  /** How much it counts. */
  readonly weight: number;
}

function countsOf(rows: readonly LabelledOutput[]): LabelCounts {
  const count = (is: (row: LabelledOutput) => boolean): number => weightOf(rows.filter(is));
  return {
    occurs: count(({ holds }) => holds),
    said: count(({ output }) => output > 0),
    found: count(({ output, holds }) => holds && output > 0),
  };
}

/** Σ (Rₙ − Rₙ₋₁)·Pₙ over the thresholds that outputs make, equal ones being one; null where the label never holds. */
function averagePrecision(rows: readonly LabelledOutput[]): number | null {
  const occurs = weightOf(rows.filter(({ holds }) => holds));
  if (occurs === 0) return null;
  const ordered = [...rows].sort((a, b) => b.output - a.output);
  let [found, counted, seen, area] = [0, 0, 0, 0];
  for (const [i, { output, holds, weight }] of ordered.entries()) {
    seen += weight;
    if (holds) found += weight;
    // Of rows that count for nothing a precision is none.
    if (ordered[i + 1]?.output === output || seen === 0) continue;
    area += ((found - counted) / occurs) * (found / seen);
    counted = found;
  }
  return area;
}

function weightOf(rows: readonly LabelledOutput[]): number {
  return sum(rows.map(({ weight }) => weight));
}

function increment(counts: Float64Array, at: number, by = 1): void {
  counts[at] = (counts[at] ?? 0) + by;
}
