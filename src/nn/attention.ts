/**
 * Causal self-attention (Vaswani et al. 2017, arXiv:1706.03762, §3.2). Written with plain products: jax-js's own
 * `dotProductAttention` needs iterator helpers, which Node 20 does not have.
 */
import { nn, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../engine/index.js";
import { linear } from "./layers.js";

/** Added to the score of a position that may not be seen; e^MASKED is 0 in float32. */
const MASKED = -1e9;

export interface AttentionSize {
  readonly heads: number;
  /** Channels of each head's queries, keys and values. */
  readonly headSize: number;
}

/**
 * Each position gathers from itself and those before it. h [batch, length, d], qkv [3·heads·headSize, d] (queries,
 * keys and values of all heads, one below the other), out [d, heads·headSize] → [batch, length, d]. Consumes its
 * arguments.
 */
export function causalAttention(
  h: JaxArray,
  qkv: JaxArray,
  out: JaxArray,
  { heads, headSize }: AttentionSize,
): JaxArray {
  const [batch = 0, length = 0] = h.shape;
  const projected = linear(h, qkv).reshape([batch, length, 3, heads, headSize]);
  const [queries, keys, values] = [0, 1, 2].map((part) => byHead(projected.ref, part)) as [
    JaxArray,
    JaxArray,
    JaxArray,
  ];
  projected.dispose();
  const scores = np.matmul(queries, np.transpose(keys, [0, 1, 3, 2])).mul(1 / Math.sqrt(headSize));
  const weights = nn.softmax(scores.add(causalMask(length)), -1); // [batch, heads, length, length]
  const gathered = np.transpose(np.matmul(weights, values), [0, 2, 1, 3]);
  return linear(gathered.reshape([batch, length, heads * headSize]), out);
}

/** One of queries, keys and values: [batch, length, 3, heads, headSize] → [batch, heads, length, headSize]. */
function byHead(projected: JaxArray, part: number): JaxArray {
  return np.transpose(projected.slice([], [], part), [0, 2, 1, 3]);
}

/** [length, length]: 0 where column ≤ row, else {@link MASKED}. */
function causalMask(length: number): JaxArray {
  const mask = Float32Array.from({ length: length * length }, (_, i) =>
    i % length <= Math.floor(i / length) ? 0 : MASKED,
  );
  return np.array(mask, { shape: [length, length] });
}
