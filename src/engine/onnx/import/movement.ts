/** Moves elements of a value, known or traced. Every function borrows its operands and gives a value of the caller's own. */
import { numpy as np } from "@jax-js/jax";
import { sizeOf } from "../../../contracts/tensor.js";
import type { JaxArray } from "../../trace.js";
import { equalShapes } from "../graph.js";
import { broadcastShapes } from "../views/align.js";
import { broadcastPlace, picked, staticTensor, stridesOf } from "./static.js";
import { arrayOf, shapeOfValue, traced, type Value } from "./value.js";

export function reshape(value: Value, shape: readonly number[]): Value {
  if (sizeOf(shape) !== sizeOf(shapeOfValue(value))) {
    throw new RangeError(`a tensor of shape [${shapeOfValue(value)}] cannot be [${shape}]`);
  }
  if (value.kind === "static") return { ...value, shape };
  return traced(value.type, value.array.ref.reshape([...shape]));
}

export function transpose(value: Value, perm: readonly number[]): Value {
  const shape = shapeOfValue(value);
  const isOrder =
    perm.length === shape.length && new Set(perm).size === perm.length && perm.every((d) => d in shape);
  if (!isOrder) throw new RangeError(`perm [${perm}] does not fit a tensor of shape [${shape}]`);
  if (value.kind === "traced") return traced(value.type, np.transpose(value.array.ref, [...perm]));
  const strides = stridesOf(shape);
  return picked(
    value,
    perm.map((d) => shape[d] ?? 1),
    (index) => perm.reduce((place, d, i) => place + (strides[d] ?? 0) * (index[i] ?? 0), 0),
  );
}

/** Repeats dimensions of size 1, by NumPy's broadcasting in both directions. */
export function expand(value: Value, wanted: readonly number[]): Value {
  const from = shapeOfValue(value);
  const shape = broadcastShapes(from, wanted);
  const fits = [from, wanted].every((one) =>
    one.every((size, i) => size === 1 || size === shape[i + shape.length - one.length]),
  );
  if (!fits) throw new RangeError(`[${from}] does not broadcast to [${wanted}]`);
  if (value.kind === "static") return picked(value, shape, broadcastPlace(from));
  return traced(value.type, np.broadcastTo(value.array.ref, shape));
}

/** `count` elements of one dimension from `start`, `step` apart. */
export function slice(value: Value, dim: number, start: number, count: number, step: number): Value {
  const shape = shapeOfValue(value);
  if (start === 0 && step === 1 && count === shape[dim]) return reshape(value, shape);
  if (value.kind === "static") {
    const strides = stridesOf(shape);
    return picked(value, shape.with(dim, count), (index) =>
      index.reduce((place, i, d) => place + (strides[d] ?? 0) * (d === dim ? start + i * step : i), 0),
    );
  }
  if (count < 1) throw new RangeError(`a slice of [${shape}] has no elements`);
  return traced(value.type, strided(value.array.ref, dim, start, count, step));
}

/** Consumes x. Every n-th element is the first of blocks of n. */
function strided(x: JaxArray, dim: number, start: number, count: number, step: number): JaxArray {
  if (step < 0) {
    const size = x.shape[dim] ?? 1;
    return strided(np.flip(x, dim), dim, size - 1 - start, count, -step);
  }
  const before = Array.from({ length: dim }, (): [] => []);
  if (step === 1) return x.slice(...before, [start, start + count]);
  const size = x.shape[dim] ?? 1;
  const end = start + count * step;
  const cut = x.slice(...before, [start, Math.min(size, end)]);
  const padded =
    end > size
      ? np.pad(
          cut,
          cut.shape.map((_, d): [number, number] => [0, d === dim ? end - size : 0]),
        )
      : cut;
  return padded.reshape(padded.shape.toSpliced(dim, 1, count, step)).slice(...before, [], 0);
}

export function concatenate(values: readonly Value[], dim: number): Value {
  const [first] = values;
  if (!first) throw new RangeError("nothing to join");
  const filled = values.filter((value) => sizeOf(shapeOfValue(value)) > 0);
  if (filled.length === 1 && filled[0]) return reshape(filled[0], shapeOfValue(filled[0]));
  if (values.some((value) => value.kind === "traced")) {
    return traced(first.type, np.concatenate(filled.map(arrayOf), dim));
  }
  const sizes = values.map((value) => shapeOfValue(value)[dim] ?? 0);
  const shape = shapeOfValue(first).with(
    dim,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  const statics = values.flatMap((value) => (value.kind === "static" ? [value] : []));
  const strides = statics.map((value) => stridesOf(value.shape));
  const outer = stridesOf(shape);
  return staticTensor(first.type, shape, (flat) => {
    let along = Math.floor(flat / (outer[dim] ?? 1)) % (shape[dim] ?? 1);
    let which = 0;
    while (along >= (sizes[which] ?? 0)) along -= sizes[which++] ?? 0;
    const place = shape.reduce((sum, size, d) => {
      const i = d === dim ? along : Math.floor(flat / (outer[d] ?? 1)) % size;
      return sum + i * (strides[which]?.[d] ?? 0);
    }, 0);
    return statics[which]?.data[place] ?? 0;
  });
}

/** Elements of one dimension by their indices, known or traced; a negative one counts from the end. */
export function take(value: Value, indices: Value, dim: number): Value {
  const shape = shapeOfValue(value);
  const size = shape[dim] ?? 1;
  const at = shapeOfValue(indices);
  const out = shape.toSpliced(dim, 1, ...at);
  if (indices.kind === "static") {
    const places = Array.from(indices.data, (i) => (i < 0 ? i + size : i));
    const beyond = places.find((i) => !(i >= 0 && i < size));
    if (beyond !== undefined) throw new RangeError(`index ${beyond} of a dimension of ${size}`);
    const [first = 0, second = first + 1] = places;
    const step = second - first;
    // One element, or every n-th, is a slice, whose gradient is no scatter.
    if (step !== 0 && places.length > 0 && places.every((place, i) => place === first + i * step)) {
      return reshape(slice(value, dim, first, places.length, step), out);
    }
    if (value.kind === "static") {
      const strides = stridesOf(shape);
      const flat = staticTensor("int64", [places.length], places);
      const rows = picked(value, shape.with(dim, places.length), (index) =>
        index.reduce((place, i, d) => place + (strides[d] ?? 0) * (d === dim ? (flat.data[i] ?? 0) : i), 0),
      );
      return reshape(rows, out);
    }
    const known = staticTensor("int64", at, places);
    return traced(value.type, np.take(value.array.ref, arrayOf(known), dim));
  }
  const wanted = arrayOf(indices);
  const positive = np.where(wanted.ref.less(0), wanted.ref.add(size), wanted);
  return traced(value.type, np.take(arrayOf(value), positive, dim));
}

export function equalShape(a: Value, b: Value): boolean {
  return equalShapes(shapeOfValue(a), shapeOfValue(b));
}
