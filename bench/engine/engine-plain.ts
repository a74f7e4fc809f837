/** ONNX Runtime with nothing around it: one session, tensors made once, outputs that become the next step's inputs. */

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

function bind(traced: TracedProgram, lowered: LoweredProgram, net: BenchNet): Side {
  const own = { ...net.state, ...net.batch, ...net.controls };
  /** What lies in one tensor of the model, end to end. */
  const dataOf = (specs: readonly NamedSpec[], places: readonly number[]) => {
    const parts = places.flatMap((place) => specs[place] ?? []);
    const data = emptyData(parts);
    let offset = 0;
    for (const part of parts) {
      data.set((own[part.name]?.data ?? []) as Float32Array, offset);
      offset += sizeOf(part.shape);
    }
    return { data, dtype: parts[0]?.dtype ?? "float32", key: parts.map(({ name }) => name).join() };
  };
  const written = new Map<string, Tensor["data"]>();
  const fetches: Record<string, OrtTensor> = {};
  for (const [i, { shape, places }] of lowered.outputs.entries()) {
    const { data, dtype, key } = dataOf(traced.outputs, places);
    written.set(key, data);
    fetches[`o${i}`] = ortTensor(dtype, data, shape);
  }
  const feeds: Record<string, OrtTensor> = {};
  return {
    feeds,
    fetches,
    written,
    readFrom(other) {
      for (const [i, { shape, places }] of lowered.inputs.entries()) {
        const { data, dtype, key } = dataOf(traced.inputs, places);
        feeds[`i${i}`] = ortTensor(dtype, other.written.get(key) ?? data, shape);
      }
    },
  };
}

interface NamedSpec extends TensorSpec {
  readonly name: string;
}

function emptyData(specs: readonly TensorSpec[]): Float32Array | Int32Array {
  const size = specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return specs[0]?.dtype === "int32" ? new Int32Array(size) : new Float32Array(size);
}

function ortTensor(dtype: TensorSpec["dtype"], data: Tensor["data"], shape: readonly number[]): OrtTensor {
  return new OrtTensor(dtype as "float32", data as Float32Array, shape);
}
