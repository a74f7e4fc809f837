/** Matrix products: https://onnx.ai/onnx/operators/ */
import { numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import { traced } from "../value.js";
import { type Operator, type OperatorRule, operator } from "./rule.js";

/** x·y of any ranks. A matrix on the right multiplies all rows at once: one product and not one a batch. Consumes both. */
export function matmul(x: JaxArray, y: JaxArray): JaxArray {
  if (x.ndim <= 2 || y.ndim !== 2) return np.matmul(x, y);
  const lead = x.shape.slice(0, -1);
  const [inputs = 1, outputs = 1] = y.shape;
  if (x.shape.at(-1) !== inputs) throw new RangeError(`[${x.shape}] · [${y.shape}]`);
  return np.matmul(x.reshape([-1, inputs]), y).reshape([...lead, outputs]);
}

/** αA′B′ + βC. */
const gemm: OperatorRule = (node) => {
  const [a, b] = [node.floats(0), node.floats(1)];
  const left = node.oneOf("transA", [0, 1]) === 1 ? np.transpose(a) : a;
  const right = node.oneOf("transB", [0, 1]) === 1 ? np.transpose(b) : b;
  const alpha = node.float("alpha", 1);
  const beta = node.float("beta", 1);
  const product = np.matmul(left, right);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  const c = node.optionalArray(2);
  if (!c) return traced("float32", scaled);
  return traced("float32", scaled.add(beta === 1 ? c : c.mul(beta)));
};

/** One operand of an Einstein sum, a letter for each of its dimensions. */
interface Labelled {
  readonly array: JaxArray;
  readonly labels: readonly string[];
}

/** Operands are joined two by two, each pair by one matrix product. */
const einsum: OperatorRule = (node) => {
  const equation = node.string("equation", "").replaceAll(" ", "");
  const [left = "", right] = equation.split("->");
  const terms = left.split(",").map((term) => [...term]);
  if (equation.includes(".") || terms.some((term) => new Set(term).size < term.length)) {
    throw new RangeError(`its equation ${equation} has an ellipsis or a diagonal`);
  }
  const once = (label: string): boolean => terms.flat().filter((one) => one === label).length === 1;
  const result = right === undefined ? [...new Set(terms.flat())].filter(once).sort() : [...right];
  const operands = terms.map((labels, i): Labelled => ({ array: node.floats(i), labels }));
  const [first, ...rest] = operands;
  if (!first) throw new RangeError("it has no operand");
  const joined = rest.reduce((sum, operand, i) => {
    const later = new Set([...result, ...rest.slice(i + 1).flatMap(({ labels }) => labels)]);
    return contract(sum, operand, later);
  }, first);
  const summed = sumOver(joined, new Set(result));
  return traced(
    "float32",
    np.transpose(
      summed.array,
      result.map((label) => summed.labels.indexOf(label)),
    ),
  );
};

/** Sums over dimensions that nobody wants. */
function sumOver({ array, labels }: Labelled, wanted: ReadonlySet<string>): Labelled {
  const dropped = labels.flatMap((label, d) => (wanted.has(label) ? [] : [d]));
  if (dropped.length === 0) return { array, labels };
  return { array: array.sum(dropped), labels: labels.filter((label) => wanted.has(label)) };
}

/** Of the letters in both, those that are wanted later are a batch, the others are summed over. */
function contract(a: Labelled, b: Labelled, later: ReadonlySet<string>): Labelled {
  const left = sumOver(a, new Set([...later, ...b.labels]));
  const right = sumOver(b, new Set([...later, ...a.labels]));
  const both = left.labels.filter((label) => right.labels.includes(label));
  const batch = both.filter((label) => later.has(label));
  const inner = both.filter((label) => !later.has(label));
  const rows = left.labels.filter((label) => !both.includes(label));
  const columns = right.labels.filter((label) => !both.includes(label));
  const product = np.matmul(grouped(left, [batch, rows, inner]), grouped(right, [batch, inner, columns]));
  const sizes = [...batch, ...rows, ...columns].map(
    (label) => sizeOfLabel(left, label) ?? sizeOfLabel(right, label) ?? 1,
  );
  return { array: product.reshape(sizes), labels: [...batch, ...rows, ...columns] };
}

/** The operand with each group of letters as one dimension. */
function grouped({ array, labels }: Labelled, groups: readonly (readonly string[])[]): JaxArray {
  const { shape } = array;
  const order = groups.flat().map((label) => labels.indexOf(label));
  const sizes = groups.map((group) =>
    group.reduce((size, label) => size * (shape[labels.indexOf(label)] ?? 1), 1),
  );
  return np.transpose(array, order).reshape(sizes);
}

function sizeOfLabel({ array, labels }: Labelled, label: string): number | undefined {
  return array.shape[labels.indexOf(label)];
}

export const matrixOperators = {
  MatMul: operator((node) => traced("float32", matmul(node.floats(0), node.floats(1))), { weights: [0, 1] }),
  Gemm: operator(gemm, { weights: [0, 1, 2] }),
  Einsum: operator(einsum, { weights: "all", except: "an ellipsis or a diagonal in the equation" }),
} satisfies Record<string, Operator>;
