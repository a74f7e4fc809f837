/** One compiled model: an ONNX Runtime session, and its errors in the program's own words. */
import { MessageChannel } from "node:worker_threads";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import type { Tensor } from "../../contracts/tensor.js";
import { describe } from "../onnx/lower.js";
import type { LoweredProgram, TracedProgram } from "../trace.js";
import { firstLine, type Ort } from "./ort.js";

export interface SessionOptions {
  /** What runs it: a node that CUDA does not have is an error, never run on the CPU instead. */
  readonly engine: "native" | "gpu:cuda";
  /** Threads of one operator. */
  readonly threads: number;
  /** Whether idle threads wait in a loop: faster on a machine of one's own, slower on a shared one. */
  readonly spinning: boolean;
}

/**
 * Compiles. ONNX Runtime's own graph rewriting is off: it fuses a value into its consumer where it has only one, so
 * that a step's bits would depend on what else is computed from it. It also takes half of the compile time.
 */
export async function createSession(
  ort: Ort,
  name: string,
  lowered: Pick<LoweredProgram, "model">,
  { engine, threads, spinning }: SessionOptions,
): Promise<InferenceSession> {
  const isCuda = engine === "gpu:cuda";
  const session = {
    intra_op: { allow_spinning: spinning ? "1" : "0" },
    ...(isCuda && { disable_cpu_ep_fallback: "1" }),
  };
  try {
    return await ort.InferenceSession.create(lowered.model, {
      ...(isCuda && { executionProviders: ["cuda"] }),
      executionMode: "sequential",
      graphOptimizationLevel: "disabled",
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      extra: { session },
    });
  } catch (error) {
    throw new KasminaError("engine", `compiling ${name} on the ${engine} engine: ${firstLine(error)}`, {
      cause: error,
      details: { program: name },
    });
  }
}

/** A port with nobody behind it: a buffer that is sent there is freed at once. */
const { port1: nowhere } = new MessageChannel();
nowhere.close();

/**
 * Frees what nobody will read. ONNX Runtime returns a copy of each output, also where it was given a tensor to write to; V8,
 * which counts it as heap but seldom looks for dead young objects, would mark the whole heap several times a second.
 */
export function freeNow(buffers: readonly ArrayBufferLike[]): void {
  if (buffers.length > 0) nowhere.postMessage(undefined, buffers as ArrayBuffer[]);
}

/** Up to here glibc takes the hint below; what is larger it maps anew each time. */
const MAX_KEPT_BYTES = 32 * 2 ** 20 - 65_536;
let keptBytes = 0;

/**
 * Says that a program returns so many bytes at each run. glibc gives freed memory back to the system beyond twice the largest
 * mapping that it has seen freed; where there are several outputs their sum is more, and each run would get its memory page by
 * page (1,900 page faults a step at 5.8 million parameters in a thread of its own). So one mapping of that size is freed in
 * advance.
 */
export function keepFreed(bytes: number): void {
  const size = Math.min(bytes, MAX_KEPT_BYTES);
  if (size <= keptBytes) return;
  keptBytes = size;
  freeNow([new ArrayBuffer(size)]);
}

/** A tensor of ONNX Runtime over the same memory. */
export function ortTensor(ort: Ort, { dtype, data, shape }: Tensor): OrtTensor {
  return new ort.Tensor(dtype as "float32", data as Float32Array, shape);
}

/** An error of a run, with the equation that it happened in. */
export function runError(
  traced: TracedProgram,
  error: unknown,
  engine: SessionOptions["engine"],
): KasminaError {
  const message = firstLine(error);
  const place = /Name:'(\d+)\//.exec(message)?.[1];
  const equation = place === undefined ? undefined : traced.ir.equations[Number(place)];
  const { name } = traced.definition;
  const where = equation ? `${name}, in ${describe(equation)}` : name;
  return new KasminaError("engine", `running ${where} on the ${engine} engine: ${message}`, {
    cause: error,
    details: { program: name, ...(equation ? { primitive: equation.primitive } : {}) },
  });
}
