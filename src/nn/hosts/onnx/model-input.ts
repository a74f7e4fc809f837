/** How examples become what a model from a file wants: the layout of images, their channels and scale; inputs that the data lack. */
import { numpy as np } from "@jax-js/jax";
import { KasminaError } from "../../../base/index.js";
import { type JaxArray, staticTensor, type TensorInfo, type Value } from "../../../engine/index.js";

export interface ImageOptions {
  /** How the model has its images. Default: `nchw` where the second axis of its input is 1 or 3, else `nhwc`. */
  readonly layout?: "nchw" | "nhwc";
  /** Per channel, taken off, in the unit of the data. Default 0. */
  readonly mean?: readonly number[];
  /** Per channel, divided by after that. Default 1. */
  readonly std?: readonly number[];
}

/** What becomes of an example. */
export interface InputAdapter {
  /** Of the model's input, without the batch axis. */
  readonly shape: readonly number[];
  /** [batch, ...example] → [batch, ...shape]. Consumes x. */
  apply(x: JaxArray): JaxArray;
}

/**
 * From examples of `example` to the model's main input: as they are where they fit; as images where the input has three axes;
 * flattened where it has one. Grey becomes colour by repetition.
 * @throws KasminaError `invalid_argument` where they fit in no way
 */
export function inputAdapter(
  input: Pick<TensorInfo, "name" | "shape">,
  example: readonly number[],
  options: ImageOptions = {},
): InputAdapter {
  const wanted = input.shape.slice(1);
  const fits = (shape: readonly number[]): boolean =>
    shape.length === wanted.length &&
    wanted.every((size, d) => typeof size === "string" || size === shape[d]);
  const isImage = wanted.length === 3 && (example.length === 2 || example.length === 3);
  if (isImage) {
    const image = imageAdapter(wanted, example, options);
    if (fits(image.shape)) return image;
  }
  if (fits(example)) return { shape: example, apply: (x) => x };
  const flat = [example.reduce((product, size) => product * size, 1)];
  if (fits(flat)) return { shape: flat, apply: (x) => x.reshape([-1, ...flat]) };
  throw new KasminaError(
    "invalid_argument",
    `input ${input.name} of the model is [${input.shape.join(", ")}], which examples of shape [${example}] do not fit`,
  );
}

function imageAdapter(
  wanted: readonly (number | string)[],
  example: readonly number[],
  { layout, mean, std }: ImageOptions,
): InputAdapter {
  const [height = 1, width = 1, given = 1] = example;
  const isFirst = (layout ?? (wanted[0] === 1 || wanted[0] === 3 ? "nchw" : "nhwc")) === "nchw";
  const own = wanted[isFirst ? 0 : 2];
  const channels = typeof own === "number" ? own : given;
  const repeated = given === 1 ? channels : given;
  const shape = isFirst ? [repeated, height, width] : [height, width, repeated];
  return {
    shape,
    apply: (x) => {
      const image = x.reshape([-1, height, width, given]);
      const wide =
        repeated === given ? image : np.broadcastTo(image, [x.shape[0] ?? 1, height, width, repeated]);
      const scaled = standardized(wide, mean, std);
      return isFirst ? np.transpose(scaled, [0, 3, 1, 2]) : scaled;
    },
  };
}

/** (x − mean) / std along the last axis. */
function standardized(
  x: JaxArray,
  mean: readonly number[] | undefined,
  std: readonly number[] | undefined,
): JaxArray {
  const vector = (values: readonly number[]): JaxArray => np.array(Float32Array.from(values));
  const centred = mean ? x.sub(vector(mean)) : x;
  return std ? centred.mul(vector(std.map((one) => 1 / one))) : centred;
}

/**
 * An input besides the main one, as exporters of text models have them, where the data lack it: every position may be seen,
 * all belong to the first sentence, positions count from 0.
 * @throws KasminaError `invalid_argument` for any other input
 */
export function sideInput(
  name: string,
  type: TensorInfo["type"],
  shape: readonly number[],
  batch: number,
): Value {
  const length = shape.at(-1) ?? 1;
  const whole = [batch, ...shape];
  if (/mask/i.test(name)) return staticTensor(type, whole, () => 1);
  if (/token_type|segment/i.test(name)) return staticTensor(type, whole, () => 0);
  if (/position/i.test(name)) return staticTensor(type, whole, (i) => i % length);
  throw new KasminaError(
    "invalid_argument",
    `the model has an input ${name} beside its main one, which the data do not have`,
  );
}
