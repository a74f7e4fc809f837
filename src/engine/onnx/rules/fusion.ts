/**
 * Operators of ONNX that do the work of two: fewer operators run faster, and are compiled faster. Whether one is taken
 * depends on how the operands were computed alone, never on who else uses them: the same operation has the same bits
 * in any program. The operator that was taken in stays for whoever else needs its result, and is not written else.
 *
 * https://onnx.ai/onnx/operators/: Gemm (A·B + C), ReduceMean, ReduceSumSquare.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import { equalShapes, type GraphBuilder, type Value } from "../graph.js";

/** A·B + c, where one of the two is the matrix product A·B and the other a row; undefined for any other sum. */
export function productPlusRow(graph: GraphBuilder, a: Value, b: Value): Value | undefined {
  return productWith(graph, a, b) ?? productWith(graph, b, a);
}

function productWith(graph: GraphBuilder, product: Value, row: Value): Value | undefined {
  const node = graph.producer(product);
  if (node?.op !== "Gemm" || node.inputs.length !== 2) return undefined;
  if (!equalShapes(row.shape, product.shape.slice(1))) return undefined;
  return graph.node("Gemm", [...node.inputs, row], product, node.attributes);
}

/** Σx · (1/n), where one of the two is a sum of n elements; undefined for any other product. */
export function mean(graph: GraphBuilder, a: Value, b: Value, scalarOf: ScalarOf): Value | undefined {
  return meanOf(graph, a, scalarOf(b)) ?? meanOf(graph, b, scalarOf(a));
}

/** The element of a scalar constant. */
type ScalarOf = (value: Value) => number | undefined;

function meanOf(graph: GraphBuilder, sum: Value, factor: number | undefined): Value | undefined {
  const node = graph.producer(sum);
  const [summed] = node?.inputs ?? [];
  if (node?.op !== "ReduceSum" || !summed || sum.dtype !== "float32") return undefined;
  const count = sizeOf(summed.shape) / sizeOf(sum.shape);
  if (factor !== Math.fround(1 / count)) return undefined;
  return graph.node("ReduceMean", node.inputs, sum, node.attributes);
}

/** What `value` is the square of. */
export function rootOf(graph: GraphBuilder, value: Value): Value | undefined {
  const node = graph.producer(value);
  const [a, b] = node?.inputs ?? [];
  return node?.op === "Mul" && a === b && a && equalShapes(a.shape, value.shape) ? a : undefined;
}
