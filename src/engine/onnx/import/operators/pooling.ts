/** Pools over windows and over whole images. */
import { lax, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { staticTensor, stridesOf } from "../static.js";
import { arrayOf, traced } from "../value.js";
import { type Operator, type OperatorRule, operator, range } from "./rule.js";
import { type Pair, type WindowLayout, windowLayout } from "./windows.js";

/** Less than any activation; −∞ would give gradients that are no numbers. */
const LOWEST = -3.4e38;

/** The layout with the padding that ceil_mode adds: the last window may stand out, but has to begin inside. */
function poolLayout(
  node: NodeContext,
  sizes: readonly number[],
): { layout: WindowLayout; whole: Pair[]; counts: number[] } {
  const kernel = node.ints("kernel_shape");
  if (!kernel) throw new RangeError("its kernel_shape is missing");
  const layout = windowLayout(node, kernel, sizes);
  if (layout.dilations.some((one) => one !== 1))
    throw new RangeError(`dilations = [${layout.dilations}] are not supported`);
  const isCeil = node.oneOf("ceil_mode", [0, 1]) === 1;
  const counts = sizes.map((size, d) => {
    const [before, after] = layout.padding[d] ?? [0, 0];
    const stride = layout.strides[d] ?? 1;
    const steps = (size + before + after - (kernel[d] ?? 1)) / stride;
    // As ONNX Runtime has it: a window that is greater than the image, by less than a stride, sees what there is.
    const count = (isCeil ? Math.ceil(steps) : Math.trunc(steps)) + 1;
    if (count < 1) throw new RangeError(`its window of ${kernel} is greater than the image of ${sizes}`);
    return isCeil && (count - 1) * stride >= size + before ? count - 1 : count;
  });
  const whole = sizes.map((size, d): Pair => {
    const [before, after] = layout.padding[d] ?? [0, 0];
    const end = ((counts[d] ?? 1) - 1) * (layout.strides[d] ?? 1) + (kernel[d] ?? 1);
    return [before, Math.max(after, end - size - before)];
  });
  return { layout, whole, counts };
}

/** Whether each place of the padded image is padding. */
function paddingMask(sizes: readonly number[], padding: readonly Pair[]) {
  const shape = sizes.map((size, d) => size + (padding[d]?.[0] ?? 0) + (padding[d]?.[1] ?? 0));
  const strides = stridesOf(shape);
  return staticTensor("bool", shape, (i) =>
    shape.some((size, d) => {
      const at = (Math.floor(i / (strides[d] ?? 1)) % size) - (padding[d]?.[0] ?? 0);
      return at < 0 || at >= (sizes[d] ?? 0);
    })
      ? 1
      : 0,
  );
}

function padSpatial(x: JaxArray, padding: readonly Pair[]): JaxArray {
  if (padding.every(([before, after]) => before === 0 && after === 0)) return x;
  return np.pad(x, [[0, 0], [0, 0], ...padding]);
}

const maxPool: OperatorRule = (node) => {
  node.ignore("storage_order");
  const x = node.floats(0);
  const sizes = x.shape.slice(2);
  const { layout, whole } = poolLayout(node, sizes);
  const isPadded = whole.flat().some((width) => width > 0);
  const padded = padSpatial(x, whole);
  const filled = isPadded ? np.where(arrayOf(paddingMask(sizes, whole)), LOWEST, padded) : padded;
  const pooled = lax.reduceWindow(
    filled,
    (window: JaxArray) => np.max(window),
    [...layout.kernel],
    layout.strides,
  );
  return traced("float32", pooled);
};

const averagePool: OperatorRule = (node) => {
  const x = node.floats(0);
  const sizes = x.shape.slice(2);
  const { layout, whole, counts } = poolLayout(node, sizes);
  const countsPadding = node.oneOf("count_include_pad", [0, 1]) === 1;
  const sums = lax.reduceWindow(
    padSpatial(x, whole),
    (window: JaxArray) => np.sum(window),
    [...layout.kernel],
    layout.strides,
  );
  const strides = stridesOf(counts);
  const weight = staticTensor("float32", counts, (i) => {
    const elements = counts.reduce((product, count, d) => {
      const [before, after] = layout.padding[d] ?? [0, 0];
      const start = (Math.floor(i / (strides[d] ?? 1)) % count) * (layout.strides[d] ?? 1) - before;
      const [low, high] = countsPadding ? [-before, (sizes[d] ?? 1) + after] : [0, sizes[d] ?? 1];
      return product * (Math.min(high, start + (layout.kernel[d] ?? 1)) - Math.max(low, start));
    }, 1);
    return 1 / elements;
  });
  return traced("float32", sums.mul(arrayOf(weight)));
};

function overImage(reduce: (x: JaxArray, axes: number[]) => JaxArray): Operator {
  return operator((node) => {
    const x = node.floats(0);
    return traced(
      "float32",
      reduce(
        x,
        range(x.ndim - 2).map((d) => d + 2),
      ),
    );
  });
}

export const poolingOperators = {
  MaxPool: operator(maxPool, { except: "dilations, the indices" }),
  AveragePool: operator(averagePool, { except: "dilations" }),
  GlobalAveragePool: overImage((x, axes) => x.mean(axes, { keepdims: true })),
  GlobalMaxPool: overImage((x, axes) => x.max(axes, { keepdims: true })),
} satisfies Record<string, Operator>;
