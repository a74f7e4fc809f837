/** ONNX Runtime with nothing around it: one session, tensors made once, outputs that become the next step's inputs. */

import { sizeOf, type Tensor, type TensorSpec } from "kasmina/contracts";
import type { LoweredProgram, TracedProgram } from "kasmina/engine";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { BenchNet } from "./engine-nets.js";

/** A loop of the model's own step, with the settings of the native engine. */
export async function plainLoop(
  traced: TracedProgram,
  lowered: LoweredProgram,
  net: BenchNet,
  threads: number,
): Promise<() => Promise<unknown>> {
  const session = await InferenceSession.create(lowered.model, {
    executionMode: "sequential",
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const sides = [bind(traced, lowered, net), bind(traced, lowered, net)];
  // Each side reads what the other wrote.
  for (const [i, side] of sides.entries()) side.readFrom(sides[1 - i] ?? side);
  let turn = 0;
  return () => {
    const side = sides[turn++ % 2];
    if (!side) throw new RangeError("no tensors");
    return session.run(side.feeds, side.fetches);
  };
}

interface Side {
  readonly feeds: Record<string, OrtTensor>;
  readonly fetches: Record<string, OrtTensor>;
  readonly written: ReadonlyMap<string, Tensor["data"]>;
  readFrom(other: Side): void;
}

function bind({ inputs, outputs }: TracedProgram, { outputShapes }: LoweredProgram, net: BenchNet): Side {
  const own = { ...net.state, ...net.batch, ...net.controls };
  const written = new Map<string, Tensor["data"]>();
  const feeds: Record<string, OrtTensor> = {};
  const fetches: Record<string, OrtTensor> = {};
  for (const [i, output] of outputs.entries()) {
    const data = emptyData(output);
    if (output.role === "state") {
      data.set((own[output.name]?.data ?? []) as Float32Array);
      written.set(output.name, data);
    }
    fetches[`o${i}`] = ortTensor(output, data, outputShapes[i] ?? output.shape);
  }
  return {
    feeds,
    fetches,
    written,
    readFrom(other) {
      for (const [i, input] of inputs.entries()) {
        const data = other.written.get(input.name) ?? own[input.name]?.data ?? emptyData(input);
        feeds[`i${i}`] = ortTensor(input, data, input.shape);
      }
    },
  };
}

function emptyData(spec: TensorSpec): Float32Array | Int32Array {
  return spec.dtype === "int32" ? new Int32Array(sizeOf(spec.shape)) : new Float32Array(sizeOf(spec.shape));
}

function ortTensor(spec: TensorSpec, data: Tensor["data"], shape: readonly number[]): OrtTensor {
  return new OrtTensor(spec.dtype as "float32", data as Float32Array, shape);
}
