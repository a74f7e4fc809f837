/**
 * How the native and the CUDA back end are opened: the package behind them shows in none of this, so that its types need not be
 * installed.
 */
import { availableParallelism } from "node:os";
import { KasminaError } from "../../base/errors.js";
import type { Backend } from "../backend.js";
import { openCudaBackend } from "./cuda-backend.js";
import { loadOrt } from "./ort.js";
import { OrtBackend } from "./ort-backend.js";

export interface NativeOptions {
  /** Threads of one operator, 1 to 256. Default: all cores. Runs are bit for bit the same at the same number only. */
  readonly threads?: number;
  /** Whether idle threads wait in a loop. Default false: on a shared machine the loop takes the time of others. */
  readonly spinning?: boolean;
}

/** Opens the native back end. @throws KasminaError `engine` where onnxruntime-node does not load */
export async function createNativeBackend(options: NativeOptions = {}): Promise<Backend> {
  const { threads = availableParallelism(), spinning = false } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new KasminaError(
      "invalid_argument",
      `threads must be a whole number from 1 to 256, got ${threads}`,
    );
  }
  const where = `the CPU, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  return new OrtBackend(await loadOrt(), { engine: "native", threads, spinning }, where);
}

/**
 * Opens the CUDA back end: the native one's programs, on the card.
 * @throws KasminaError `engine` where ONNX Runtime's CUDA provider is not installed or does not start, with what to install
 */
export function createCudaBackend(): Promise<Backend> {
  return openCudaBackend();
}
