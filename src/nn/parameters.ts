/** Parameters: their shapes and how they start. Initial values come from plain code with a seeded generator, so every engine starts from the same bits. */

import { Random } from "../base/index.js";
import { float32, sizeOf, type Tensor, type Tensors } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";

/** Fills a parameter of `shape` (row-major). */
export type Initializer = (shape: readonly number[], random: Random) => Float32Array;

export interface ParameterSpec {
  readonly shape: readonly number[];
  readonly init: Initializer;
  /** false: it keeps its first value, and no optimizer state is made for it. Default true. */
  readonly trainable?: boolean;
  /** What it is called where it came from, for people: an initializer of an ONNX file. */
  readonly title?: string;
}

/** The parameters of one block or module, by name. */
export type ParameterSpecs<P extends string = string> = Readonly<Record<P, ParameterSpec>>;

/** The same parameters as arrays, inside a traced function. */
export type Parameters<P extends string = string> = Readonly<Record<P, JaxArray>>;

export const zeros: Initializer = (shape) => new Float32Array(sizeOf(shape));

export const ones: Initializer = (shape) => new Float32Array(sizeOf(shape)).fill(1);

/** Normal with variance 2 / fan-in, fan-in being all sizes but the first (He et al. 2015, arXiv:1502.01852). */
export const heNormal: Initializer = (shape, random) =>
  scaledNormal(shape, random, Math.sqrt(2 / fanIn(shape)));

/** Normal with variance 1 / fan-in (LeCun et al. 1998, "Efficient BackProp"). */
export const lecunNormal: Initializer = (shape, random) =>
  scaledNormal(shape, random, Math.sqrt(1 / fanIn(shape)));

/** Normal with the given standard deviation. */
export function normal(standardDeviation: number): Initializer {
  return (shape, random) => scaledNormal(shape, random, standardDeviation);
}

function fanIn(shape: readonly number[]): number {
  return Math.max(1, sizeOf(shape.slice(1)));
}

function scaledNormal(shape: readonly number[], random: Random, scale: number): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, () => random.normal() * scale);
}

/**
 * Initial values of `specs` under `prefix/`. Each parameter draws from a stream of its own, so adding one never
 * changes another.
 */
export function initParameters(specs: ParameterSpecs, prefix: string, seed: number): Tensors {
  const entries = Object.entries(specs).map(([name, spec]): [string, Tensor] => {
    const path = prefix === "" ? name : `${prefix}/${name}`;
    return [path, float32(spec.shape, spec.init(spec.shape, Random.forLabel(seed, path)))];
  });
  return Object.fromEntries(entries);
}

/** Number of scalars in all the parameters. */
export function countParameters(specs: ParameterSpecs): number {
  return Object.values(specs).reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
}
