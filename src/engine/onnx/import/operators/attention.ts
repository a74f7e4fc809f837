/**
 * Attention, scaled dot products of queries with keys, over values (Vaswani et al. 2017, arXiv:1706.03762, §3.2.1).
 *
 * https://onnx.ai/onnx/operators/onnx__Attention.html
 */
import { nn, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { staticTensor } from "../static.js";
import { arrayOf, traced } from "../value.js";
import { type Operator, type OperatorRule, operator } from "./rule.js";

/** Added to a score that may not be seen; e^MASKED is 0 in float32. */
const MASKED = -1e9;

/** [batch, length, heads·size] or [batch, heads, length, size] → the latter. */
function byHead(x: JaxArray, heads: number | undefined): JaxArray {
  if (x.ndim === 4) return x;
  const [batch = 1, length = 1, width = 1] = x.shape;
  if (!heads) throw new RangeError("operands of 3 dimensions need q_num_heads and kv_num_heads");
  return np.transpose(x.reshape([batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** Each head of keys and values serves a group of queries' heads. */
function repeatHeads(x: JaxArray, times: number): JaxArray {
  if (times === 1) return x;
  const [batch = 1, heads = 1, length = 1, size = 1] = x.shape;
  const wide = np.broadcastTo(x.reshape([batch, heads, 1, length, size]), [
    batch,
    heads,
    times,
    length,
    size,
  ]);
  return wide.reshape([batch, heads * times, length, size]);
}

function maskOf(node: NodeContext): JaxArray | undefined {
  const mask = node.optionalInput(3);
  if (!mask) return undefined;
  return mask.type === "bool" ? np.where(arrayOf(mask), 0, MASKED) : arrayOf(mask);
}

function causalMask(rows: number, columns: number): JaxArray {
  return arrayOf(
    staticTensor("float32", [rows, columns], (i) => (i % columns <= Math.floor(i / columns) ? 0 : MASKED)),
  );
}

const attention: OperatorRule = (node) => {
  node.ignore("softmax_precision", "qk_matmul_output_mode");
  if (node.float("softcap", 0) !== 0) throw new RangeError("softcap is not supported");
  if (node.node.outputs.slice(1).some((name) => name !== ""))
    throw new RangeError("a cache of keys and values is not supported");
  const flat = node.floats(0);
  const isFlat = flat.ndim === 3;
  const queries = byHead(flat, node.int("q_num_heads"));
  const keyHeads = node.int("kv_num_heads");
  const [keys, values] = [byHead(node.floats(1), keyHeads), byHead(node.floats(2), keyHeads)];
  const [, heads = 1, rows = 1, size = 1] = queries.shape;
  const times = heads / (keys.shape[1] ?? 1);
  const scale = node.float("scale", 1 / Math.sqrt(size));
  const wideKeys = repeatHeads(keys, times);
  const columns = wideKeys.shape[2] ?? 1;
  const scores = np.matmul(queries, np.transpose(wideKeys, [0, 1, 3, 2])).mul(scale);
  const mask = maskOf(node);
  const masked = mask ? scores.add(mask) : scores;
  const seen = node.oneOf("is_causal", [0, 1]) === 1 ? masked.add(causalMask(rows, columns)) : masked;
  const gathered = np.matmul(nn.softmax(seen, -1), repeatHeads(values, times));
  if (!isFlat) return traced("float32", gathered);
  const [batch = 1, , length = 1, width = 1] = gathered.shape;
  return traced("float32", np.transpose(gathered, [0, 2, 1, 3]).reshape([batch, length, heads * width]));
};

export const attentionOperators = {
  Attention: operator(attention, { except: "softcap, a cache of keys and values" }, 23),
} satisfies Record<string, Operator>;
