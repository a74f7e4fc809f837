/** What a function of some tensors is lowered to. */
import type { TensorSpec } from "../../contracts/tensor.js";
import { liveNodes } from "../onnx/graph.js";
import { lowerGraph } from "../onnx/lower.js";
import { type JaxArray, trace } from "../trace.js";

/** The operators in order, without those that only change shapes. */
export function operators(
  specs: readonly TensorSpec[],
  run: (...arrays: JaxArray[]) => JaxArray | readonly JaxArray[],
): string[] {
  const controls = Object.fromEntries(specs.map((spec, i) => [String(i), spec]));
  const { ir } = trace({
    name: "function",
    state: {},
    batch: {},
    controls,
    run: (_state, _batch, arrays) => {
      const results = run(...specs.map((_, i) => arrays[i] as JaxArray));
      const list = Array.isArray(results) ? (results as readonly JaxArray[]) : [results as JaxArray];
      return { state: {}, outputs: Object.fromEntries(list.map((array, i) => [`out${i}`, array])) };
    },
  });
  const { graph, outputs } = lowerGraph("function", ir, { contrib: true });
  return liveNodes(graph.nodes, outputs)
    .map(({ op }) => op)
    .filter((op) => op !== "Reshape");
}
