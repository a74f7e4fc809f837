/** Where the windows of convolutions and pools lie: strides, dilations, padding, by ONNX's rules. */
import type { NodeContext } from "../node-context.js";

export type Pair = [before: number, after: number];

export interface WindowLayout {
  readonly kernel: readonly number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly padding: Pair[];
}

/** Reads a node's attributes for an input of spatial sizes `sizes`. */
export function windowLayout(
  node: NodeContext,
  kernel: readonly number[],
  sizes: readonly number[],
): WindowLayout {
  const n = sizes.length;
  if (n < 1 || n > 3 || kernel.length !== n)
    throw new RangeError(`windows of [${kernel}] over [${sizes}] are not supported; 1 to 3 dimensions are`);
  const strides = node.ints("strides") ?? sizes.map(() => 1);
  const dilations = node.ints("dilations") ?? sizes.map(() => 1);
  const pads = node.ints("pads") ?? [];
  const given = sizes.map((_, d): Pair => [pads[d] ?? 0, pads[d + n] ?? 0]);
  const auto = node.oneOf("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);
  if (auto === "NOTSET") return { kernel, strides, dilations, padding: given };
  if (auto === "VALID") return { kernel, strides, dilations, padding: sizes.map((): Pair => [0, 0]) };
  const padding = sizes.map((size, d): Pair => {
    const [stride, reach] = [strides[d] ?? 1, ((kernel[d] ?? 1) - 1) * (dilations[d] ?? 1)];
    const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach + 1 - size);
    const less = Math.floor(total / 2);
    return auto === "SAME_UPPER" ? [less, total - less] : [total - less, less];
  });
  return { kernel, strides, dilations, padding };
}
