/**
 * The layers that hosts and blueprints are made of: pure functions over jax-js arrays. Each consumes its
 * arguments (write `x.ref` to keep one). Shapes stand in the signatures' comments; all values are float32.
 */
import { nn, numpy as np } from "@jax-js/jax";
import type { TaskId } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";

/** Axis sizes of x without the last. */
function leading(x: JaxArray): number[] {
  return x.shape.slice(0, -1);
}

/**
 * x·wᵀ + b. x [..., in], w [out, in], b [out] → [..., out]. The weight is laid out so that the product reads it as it
 * stands: a transposed copy that only the backward pass needs would change the order of summation, and so the last
 * bit, between a differentiated pass and a plain one.
 */
export function linear(x: JaxArray, w: JaxArray, b?: JaxArray): JaxArray {
  const [outputs = 0, inputs = 0] = w.shape;
  const shape = [...leading(x), outputs];
  const rows = x.ndim === 2 ? x : x.reshape([-1, inputs]);
  const y = np.matmul(rows, np.transpose(w));
  return (b ? y.add(b) : y).reshape(shape);
}

/**
 * Normalises the last axis to mean 0 and variance 1, then scales and shifts (Ba et al. 2016, arXiv:1607.06450).
 * x [..., d], scale [d], shift [d] → [..., d].
 */
export function layerNorm(x: JaxArray, scale: JaxArray, shift: JaxArray, epsilon = 1e-5): JaxArray {
  const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = np.square(centred.ref).mean(-1, { keepdims: true });
  return centred
    .mul(np.reciprocal(np.sqrt(variance.add(epsilon))))
    .mul(scale)
    .add(shift);
}

/**
 * max(x, 0). Any shape. Written as a choice so that x has two uses with and without gradients: the WebAssembly
 * back end then never fuses it into the reduction before it, and a forward pass gives the same bits whether or
 * not it is differentiated.
 */
export function relu(x: JaxArray): JaxArray {
  return np.where(x.ref.less(0), 0, x);
}

/** x·σ(1.702·x), the sigmoid form of GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2). Any shape. */
export function gelu(x: JaxArray): JaxArray {
  return x.ref.mul(nn.sigmoid(x.mul(1.702)));
}

/** 1 / (1 + e^−x). Any shape. */
export function sigmoid(x: JaxArray): JaxArray {
  return nn.sigmoid(x);
}

/**
 * 3×3 convolution, stride 1, zero padding 1, as patches × matrix: jax-js's own `conv` is 14 times slower on
 * WebAssembly. x [batch, height, width, in], w [out, 9·in] (kernel row, kernel column, channel), b [out]
 * → [batch, height, width, out].
 */
export function conv3x3(x: JaxArray, w: JaxArray, b: JaxArray): JaxArray {
  const [, height = 0, width = 0] = x.shape;
  const padded = np.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  const offsets = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => [row, column] as const));
  const shifted = offsets.map(([row, column]) =>
    padded.ref.slice([], [row, row + height], [column, column + width]),
  );
  padded.dispose();
  return linear(np.concatenate(shifted, -1), w, b);
}

/** 2×2 max pooling, stride 2. x [batch, height, width, channels], height and width even → [batch, height/2, width/2, channels]. */
export function maxPool2x2(x: JaxArray): JaxArray {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  const rows = x.reshape([batch, height / 2, 2, width, channels]);
  const rowMax = np.maximum(at(rows.ref, 2, 0), at(rows, 2, 1)); // [batch, height/2, width, channels]
  const columns = rowMax.reshape([batch, height / 2, width / 2, 2, channels]);
  return np.maximum(at(columns.ref, 3, 0), at(columns, 3, 1));
}

function at(x: JaxArray, axis: number, index: number): JaxArray {
  return x.slice(...Array.from({ length: axis }, () => [] as []), index);
}

/** Mean over height and width. x [batch, height, width, channels] → [batch, channels]. */
export function globalAveragePool(x: JaxArray): JaxArray {
  return x.mean([1, 2]);
}

/**
 * Softmax cross-entropy of each example, natural logarithm. logits [..., classes], labels [...] int32 in
 * 0 .. classes − 1 → [...].
 */
export function crossEntropy(logits: JaxArray, labels: JaxArray): JaxArray {
  const target = nn.oneHot(labels, logits.shape.at(-1) ?? 0);
  return nn.logSoftmax(logits).mul(target).sum(-1).neg();
}

/** What is to be learned, what an example counts for, and how sure of its label it asks to be. */
export interface LossOptions {
  /** Default `classification`; `next-token` is the same at each position. */
  readonly task?: TaskId;
  /**
   * Of a regression: errors beyond so many deviations of the target count by their size and no more by its square, so that a few
   * wild ones do not rule. Default: all by the square.
   */
  readonly huberDelta?: number;
  /** One a class: an example's loss is multiplied by that of its class. Default: all 1. */
  readonly classWeights?: readonly number[];
  /** Whether a batch says how much each of its rows counts: the mean over it is Σ w·loss / Σ w. Default: all count alike. */
  readonly rowWeights?: boolean;
  /** Part of a label that is shared by all classes alike, over 0 .. 1. Default 0. */
  readonly labelSmoothing?: number;
}

/** The loss of each example: {@link crossEntropy}, weighted and smoothed as the options say. logits [..., classes], labels [...] → [...]. */
export function exampleLoss(
  logits: JaxArray,
  labels: JaxArray,
  { classWeights, labelSmoothing = 0 }: LossOptions = {},
): JaxArray {
  if (!classWeights && labelSmoothing === 0) return crossEntropy(logits, labels);
  const classes = logits.shape.at(-1) ?? 0;
  const label = nn.oneHot(labels, classes);
  const target = label.ref.mul(1 - labelSmoothing).add(labelSmoothing / classes);
  const loss = nn.logSoftmax(logits).mul(target).sum(-1).neg();
  if (!classWeights) {
    label.dispose();
    return loss;
  }
  return loss.mul(label.mul(np.array([...classWeights])).sum(-1));
}

/**
 * (output − target)², or with a delta d Huber's loss (1964, doi:10.1214/aoms/1177703732) times 2, which is the square within d and
 * d·(2·|e| − d) beyond: mean over the targets. outputs, targets [..., targets] → [...].
 */
export function squaredError(outputs: JaxArray, targets: JaxArray, huberDelta?: number): JaxArray {
  const error = outputs.sub(targets);
  if (huberDelta === undefined) return np.square(error).mean(-1);
  const size = np.abs(error);
  const inner = np.minimum(size.ref, huberDelta);
  return inner.ref.mul(size.mul(2).sub(inner)).mean(-1);
}

/**
 * Cross-entropy of a yes or no for each label, natural logarithm, mean over the labels. logits, labels [..., labels], labels 0 or 1 →
 * [...].
 */
export function binaryCrossEntropy(logits: JaxArray, labels: JaxArray): JaxArray {
  const yes = nn.logSigmoid(logits.ref);
  const no = nn.logSigmoid(logits.neg());
  return yes.sub(no.ref).mul(labels).add(no).mean(-1).neg();
}

/**
 * How far each answer is right: 1 where the label's logit is the largest, 1/k where k are the largest together, 0 where
 * another one is, or where any logit is not finite. logits [..., classes], labels [...] → [...], 0 .. 1.
 */
export function correct(logits: JaxArray, labels: JaxArray): JaxArray {
  const target = nn.oneHot(labels, logits.shape.at(-1) ?? 0);
  const notFinite = np.where(np.abs(logits.ref).less(Number.POSITIVE_INFINITY), 0, 1).max(-1);
  const isLargest = np.where(logits.ref.less(logits.max(-1, { keepdims: true })), 0, 1);
  const share = isLargest.ref.mul(target).sum(-1).div(isLargest.sum(-1));
  return np.where(notFinite.equal(0), share, 0);
}
