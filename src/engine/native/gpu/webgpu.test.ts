/** What ONNX Runtime's WebGPU provider lacks, asked of the provider: a row of onnx/webgpu.ts that it no longer needs can go. */
import { beforeAll, describe, expect, test } from "vitest";
import { type Attributes, GraphBuilder, type GraphNode, liveNodes, type Value } from "../../onnx/graph.js";
import type { OnnxType } from "../../onnx/onnx-type.js";
import { rewriteForWebGpu } from "../../onnx/webgpu.js";
import { loadOrt, type Ort } from "../ort.js";
import { hasNode } from "./device-session.js";
import { adapter } from "./software-adapter.fixture.js";

const SHAPE = [2, 3];

/** The inputs of a node after the first `count`, which are of `dtype`. */
type More = (graph: GraphBuilder) => readonly Value[];

interface Lacking {
  readonly op: string;
  readonly dtype: OnnxType;
  readonly count: number;
  readonly output?: { readonly dtype?: OnnxType; readonly shape?: readonly number[] };
  readonly more?: More;
  readonly attributes?: Attributes;
}

const word =
  (value: number): More =>
  (graph) => [graph.scalar("uint32", value)];
const slice: More = (graph) => [[1], [3], [1], [1]].map((values) => graph.ints(values));
const axis: More = (graph) => [graph.ints([1])];
const places: More = (graph) => [graph.cast(graph.input("int32", [4, 2]), "int64")];
const cut = { shape: [2, 2] };

const LACKING: readonly Lacking[] = [
  { op: "BitShift", dtype: "uint32", count: 1, more: word(5), attributes: { direction: "RIGHT" } },
  { op: "BitwiseXor", dtype: "uint32", count: 1, more: word(2 ** 31) },
  { op: "IsNaN", dtype: "float32", count: 1, output: { dtype: "bool" } },
  { op: "Mod", dtype: "int32", count: 2, attributes: { fmod: 1 } },
  { op: "Or", dtype: "bool", count: 2 },
  { op: "Xor", dtype: "bool", count: 2 },
  { op: "Slice", dtype: "int32", count: 1, more: slice, output: cut },
  { op: "Slice", dtype: "uint32", count: 1, more: slice, output: cut },
  { op: "Slice", dtype: "bool", count: 1, more: slice, output: cut },
  { op: "Concat", dtype: "bool", count: 2, output: { shape: [4, 3] }, attributes: { axis: 0 } },
  { op: "Equal", dtype: "bool", count: 2 },
  { op: "GatherND", dtype: "bool", count: 1, more: places, output: { shape: [4] } },
  { op: "Identity", dtype: "bool", count: 1 },
  { op: "ReduceMax", dtype: "bool", count: 1, more: axis, output: { shape: [2, 1] } },
  { op: "ReduceMin", dtype: "bool", count: 1, more: axis, output: { shape: [2, 1] } },
  { op: "Transpose", dtype: "bool", count: 1, output: { shape: [3, 2] }, attributes: { perm: [1, 0] } },
];

function built({ op, dtype, count, output = {}, more, attributes }: Lacking) {
  const graph = new GraphBuilder();
  const operands = Array.from({ length: count }, () => graph.input(dtype, SHAPE));
  const result = graph.node(
    op,
    [...operands, ...(more?.(graph) ?? [])],
    { dtype, shape: SHAPE, ...output },
    attributes,
  );
  return { graph, node: graph.producer(result) as GraphNode, result };
}

describe.skipIf(!adapter)("the WebGPU provider", () => {
  let ort: Ort;
  beforeAll(async () => {
    ort = await loadOrt();
  });

  test.each(LACKING)("has no $op of $dtype, and has all that it is rewritten to", async (lacking) => {
    const { graph, node, result } = built(lacking);
    expect(await hasNode(ort, node)).toBe(false);
    const rewritten = rewriteForWebGpu(graph.nodes, graph.inputs, [result]);
    const nodes = liveNodes(rewritten.graph.nodes, rewritten.outputs);
    expect(rewritten.outputs.map(({ dtype, shape }) => ({ dtype, shape }))).toEqual([
      { dtype: result.dtype, shape: result.shape },
    ]);
    for (const one of nodes) expect([one.op, await hasNode(ort, one)]).toEqual([one.op, true]);
  });
});
