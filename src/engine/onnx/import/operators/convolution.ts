/** Conv and ConvTranspose of 1 to 3 spatial dimensions, with groups. */
import { lax, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { traced } from "../value.js";
import { type Operator, type OperatorRule, operator, range } from "./rule.js";
import { type Pair, windowLayout } from "./windows.js";

/** x [batch, in, size…], w [out, in/group, kernel…], b [out] → [batch, out, size…]. */
const conv: OperatorRule = (node) => {
  const [x, w] = [node.floats(0), node.floats(1)];
  const kernel = w.shape.slice(2);
  checkKernel(node, kernel);
  const { strides, dilations, padding } = windowLayout(node, kernel, x.shape.slice(2));
  const y = lax.convGeneralDilated(x, w, strides, padding, {
    rhsDilation: dilations,
    featureGroupCount: node.int("group", 1),
  });
  return traced("float32", withBias(y, node.optionalArray(2)));
};

function checkKernel(node: NodeContext, kernel: readonly number[]): void {
  const stated = node.ints("kernel_shape");
  if (stated?.some((size, d) => size !== kernel[d])) {
    throw new RangeError(`kernel_shape [${stated}] is not that of the filter, [${kernel}]`);
  }
}

function withBias(y: JaxArray, bias: JaxArray | undefined): JaxArray {
  if (!bias) return y;
  return y.add(bias.reshape([1, -1, ...y.shape.slice(2).map(() => 1)]));
}

/**
 * x [batch, in, size…], w [in, out/group, kernel…]: a convolution of x, spread by the stride, with the filter turned
 * round.
 */
const convTranspose: OperatorRule = (node) => {
  const [x, w] = [node.floats(0), node.floats(1)];
  const [inputs = 1, perGroup = 1, ...kernel] = w.shape;
  checkKernel(node, kernel);
  const sizes = x.shape.slice(2);
  const groups = node.int("group", 1);
  const layout = windowLayout(node, kernel, sizes);
  const extra = node.ints("output_padding") ?? sizes.map(() => 0);
  const reach = kernel.map((size, d) => (size - 1) * (layout.dilations[d] ?? 1));
  const cut = cropping(node, layout, sizes, reach, extra);
  const padding = cut.map(
    ([before, after], d): Pair => [(reach[d] ?? 0) - before, (reach[d] ?? 0) - after + (extra[d] ?? 0)],
  );
  const spatial = range(kernel.length).map((d) => d + 3);
  const turned = np.flip(w.reshape([groups, inputs / groups, perGroup, ...kernel]), spatial);
  const filter = np
    .transpose(turned, [0, 2, 1, ...spatial])
    .reshape([groups * perGroup, inputs / groups, ...kernel]);
  const y = lax.convGeneralDilated(
    x,
    filter,
    sizes.map(() => 1),
    padding,
    {
      lhsDilation: layout.strides,
      rhsDilation: layout.dilations,
      featureGroupCount: groups,
    },
  );
  return traced("float32", withBias(y, node.optionalArray(2)));
};

/** What is cut off the whole result, on each side. */
function cropping(
  node: NodeContext,
  { strides, padding }: { readonly strides: readonly number[]; readonly padding: Pair[] },
  sizes: readonly number[],
  reach: readonly number[],
  extra: readonly number[],
): Pair[] {
  const wanted = node.ints("output_shape");
  const auto = node.oneOf("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);
  if (!wanted && !auto.startsWith("SAME")) return padding;
  return sizes.map((size, d): Pair => {
    const stride = strides[d] ?? 1;
    const target = wanted?.at(d - sizes.length) ?? size * stride;
    const total = Math.max(0, stride * (size - 1) + (extra[d] ?? 0) + (reach[d] ?? 0) + 1 - target);
    const less = Math.floor(total / 2);
    return auto === "SAME_UPPER" ? [less, total - less] : [total - less, less];
  });
}

export const convolutionOperators = {
  Conv: operator(conv, { weights: [1, 2], except: "more than 3 spatial dimensions" }),
  ConvTranspose: operator(convTranspose, { weights: [1, 2], except: "more than 3 spatial dimensions" }),
} satisfies Record<string, Operator>;
