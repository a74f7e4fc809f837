/**
 * ONNX Runtime with nothing around it: one session, tensors made once, gradients written to where they were written before.
 * Nothing is updated: what the engine adds to it includes the optimizer.
 */

import { sizeOf, type Tensor, type TensorSpec } from "kasmina/contracts";
import type { LoweredProgram, TracedProgram } from "kasmina/engine";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { BenchNet } from "./engine-nets.js";

interface PlainOptions {
  readonly threads: number;
  /** Whether ONNX Runtime may rewrite the graph as it does by default; the native engine has it off. */
  readonly optimized: boolean;
}

/** A loop of the model's own step; all settings but the one named are those of the native engine. */
export async function plainLoop(
  traced: TracedProgram,
  lowered: LoweredProgram,
  net: BenchNet,
  { threads, optimized }: PlainOptions,
): Promise<() => Promise<unknown>> {
  const session = await InferenceSession.create(lowered.model, {
    executionMode: "sequential",
    graphOptimizationLevel: optimized ? "all" : "disabled",
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const feeds = tensorsOf("i", lowered.inputs, traced.inputs, net);
  const fetches = tensorsOf("o", lowered.outputs, traced.outputs, net);
  return () => session.run(feeds, fetches);
}

/** The tensors of the model; of those that come from outside what the net has, end to end. */
function tensorsOf(
  prefix: string,
  parts: LoweredProgram["inputs"],
  specs: readonly (TensorSpec & { readonly name: string })[],
  net: BenchNet,
): Record<string, OrtTensor> {
  const own: Readonly<Record<string, Tensor>> = { ...net.state, ...net.batch, ...net.controls };
  const tensors = parts.map(({ shape, places }, i): [string, OrtTensor] => {
    const lying = places.flatMap((place) => specs[place] ?? []);
    const size = lying.reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
    const dtype = lying[0]?.dtype ?? "float32";
    const data = dtype === "int32" ? new Int32Array(size) : new Float32Array(size);
    let offset = 0;
    for (const { name, shape: one } of lying) {
      data.set((own[name]?.data ?? []) as Float32Array, offset);
      offset += sizeOf(one);
    }
    return [`${prefix}${i}`, new OrtTensor(dtype as "float32", data as Float32Array, shape)];
  });
  return Object.fromEntries(tensors);
}
