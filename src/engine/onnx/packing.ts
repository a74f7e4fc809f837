/**
 * Lays small parameters end to end, and their gradients in the same order. A tensor handed to or taken from ONNX Runtime costs
 * 2.7 µs, however small: of a small net's step that is the greater part. So the small parameters of a program come in as one
 * vector, which is cut, and their gradients go out as one, which is joined.
 */
import { sum } from "../../base/statistics.js";
import { sizeOf } from "../../contracts/tensor.js";
import type { TracedProgram } from "../trace.js";
import type { GraphBuilder, Value, ValueSpec } from "./graph.js";

/** Of a tensor. Beyond it, copying the elements costs more than handing the tensor over. */
const MAX_PACKED_ELEMENTS = 8192;

/** A parameter and its gradient, by their places among the inputs and outputs. */
export interface PackedPair {
  readonly input: number;
  readonly output: number;
}

/** One tensor of a model, with the places of what lies in it end to end. */
export interface Part {
  readonly value: Value;
  readonly places: readonly number[];
}

/** What is laid end to end: nothing, where there are no two small gradients. */
export function packedPairs({ inputs, outputs }: Pick<TracedProgram, "inputs" | "outputs">): PackedPair[] {
  const pairs = outputs.flatMap(({ role, name, shape }, output): PackedPair[] => {
    if (role !== "gradient" || sizeOf(shape) > MAX_PACKED_ELEMENTS) return [];
    return [{ input: inputs.findIndex((one) => one.role === "state" && one.name === name), output }];
  });
  return pairs.length < 2 ? [] : pairs;
}

/** Inputs of the graph for all of `specs`, those at the places `packed` end to end in the first; the value of each. */
export function takeIn(
  graph: GraphBuilder,
  specs: readonly ValueSpec[],
  packed: readonly number[],
): { readonly values: readonly Value[]; readonly parts: readonly Part[] } {
  const pieces = cut(graph, specs, packed);
  const parts: Part[] = pieces ? [{ value: pieces.whole, places: packed }] : [];
  const values = specs.map(({ dtype, shape }, place) => {
    const piece = pieces?.at.get(place);
    if (piece) return piece;
    const value = graph.input(dtype, shape);
    parts.push({ value, places: [place] });
    return value;
  });
  return { values, parts };
}

function cut(graph: GraphBuilder, specs: readonly ValueSpec[], packed: readonly number[]) {
  if (packed.length === 0) return undefined;
  const shapes = packed.map((place) => specs[place]?.shape ?? []);
  const sizes = shapes.map(sizeOf);
  const whole = graph.input("float32", [sum(sizes)]);
  const flat = sizes.map((size) => ({ dtype: "float32" as const, shape: [size] }));
  const cuts = graph.nodeWithOutputs("Split", [whole, graph.ints(sizes)], flat, { axis: 0 });
  const at = new Map<number, Value>();
  for (const [i, place] of packed.entries()) {
    const piece = cuts[i];
    if (piece) at.set(place, graph.reshape(piece, shapes[i] ?? []));
  }
  return { whole, at };
}

/** Outputs of the graph: those at the places `packed` as one, then the others. */
export function giveOut(graph: GraphBuilder, outputs: readonly Value[], packed: readonly number[]): Part[] {
  const alone = outputs.flatMap((value, place): Part[] =>
    packed.includes(place) ? [] : [{ value, places: [place] }],
  );
  if (packed.length === 0) return alone;
  const flat = packed.flatMap((place) => {
    const value = outputs[place];
    return value ? [graph.reshape(value, [sizeOf(value.shape)])] : [];
  });
  const shape = [sum(flat.map((value) => sizeOf(value.shape)))];
  const joint = graph.node("Concat", flat, { dtype: "float32", shape }, { axis: 0 });
  return [{ value: joint, places: packed }, ...alone];
}
