/** random_bits: Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */

import type { GraphBuilder, Value } from "../graph.js";
import { bytesOf } from "../onnx-type.js";
import { broadcast, type View, viewOf } from "../views/view.js";
import { binary, combineBits, shift } from "./arithmetic.js";
import { elementwise, inputOf, outputOf, type Rule } from "./rule.js";

const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
/** The key schedule's parity constant. */
const PARITY = 0x1bd11bda;
/** A longer counter is computed when it runs instead of being written into the model. */
const MAX_CONSTANT_COUNTER = 4096;

export const randomBitsRule: Rule<"random_bits"> = (context) => {
  const { graph, params } = context;
  const { shape } = outputOf(context);
  const [k0, k1] = [inputOf(context, 0), inputOf(context, 1)];
  const keyRank = k0.dims.length;
  const perKey = shape.slice(keyRank);
  const spread = (key: View) => broadcast(key, shape, shape.map((_, d) => d).slice(keyRank));
  const on =
    (make: (a: Value, b: Value, common: readonly number[]) => Value) =>
    (a: View, b: View): View =>
      elementwise(graph, [a, b], shape, ([x, y], common) => make(x as Value, y as Value, common));
  const plus = on((a, b, common) => binary(graph, "Add", [a, b], common));
  const xor = on((a, b, common) => combineBits(graph, "xor", [a, b], common));
  const or = on((a, b, common) => combineBits(graph, "or", [a, b], common));
  const word = (value: number): View => spread(viewOf(graph.scalar("uint32", value)));
  const shifted = (op: "shl" | "shr", by: number) => (x: View) =>
    on((a, b, common) => shift(graph, op, [a, b], common))(x, word(by));
  const rotate = (x: View, by: number) => or(shifted("shl", by)(x), shifted("shr", 32 - by)(x));

  const keys = [spread(k0), spread(k1), xor(xor(spread(k0), spread(k1)), word(PARITY))] as const;
  const key = (i: number) => keys[i % 3] as View;
  let x0 = key(0);
  let x1 = plus(counter(graph, perKey, keyRank, shape), key(1));
  for (let round = 0; round < 5; round++) {
    for (const rotation of ROTATIONS[(round % 2) as 0 | 1]) {
      x0 = plus(x0, x1);
      x1 = xor(rotate(x1, rotation), x0);
    }
    x0 = plus(x0, key(round + 1));
    x1 = plus(plus(x1, key(round + 2)), word(round + 1));
  }
  return [params.mode === "xor" ? xor(x0, x1) : params.mode === 0 ? x0 : x1];
};

/** 0, 1, 2 … for the elements that one key makes. */
function counter(
  graph: GraphBuilder,
  perKey: readonly number[],
  keyRank: number,
  shape: readonly number[],
): View {
  const size = perKey.reduce((product, one) => product * one, 1);
  const base =
    size <= MAX_CONSTANT_COUNTER
      ? graph.constant("uint32", perKey, bytesOf(Uint32Array.from({ length: size }, (_, i) => i)))
      : graph.reshape(countUp(graph, size), perKey);
  return broadcast(viewOf(base), shape, shape.map((_, d) => d).slice(0, keyRank));
}

function countUp(graph: GraphBuilder, size: number): Value {
  const [zero, one, end] = [0, 1, size].map((value) => graph.scalar("int64", value)) as [Value, Value, Value];
  const range = graph.node("Range", [zero, end, one], { dtype: "int64", shape: [size] });
  return graph.cast(range, "uint32");
}
