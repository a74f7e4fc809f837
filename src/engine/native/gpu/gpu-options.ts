/** What is asked of the GPU back end, and what it tells. */
import type { Backend } from "../../backend.js";

/** What a back end has on its device. */
export interface DeviceUse {
  /** Tensors that are alive there. */
  readonly tensors: number;
  /** Of these tensors. */
  readonly bytes: number;
  /** State that was written there, since the back end was opened. Batches are not counted. */
  readonly uploadedBytes: number;
  /** State that was read from there, since the back end was opened. Outputs are not counted. */
  readonly downloadedBytes: number;
}

export interface GpuBackend extends Backend {
  readonly device: DeviceUse;
}

export interface GpuOptions {
  /**
   * Beginning of the paths of files to which ONNX Runtime writes what each operator of each program took, as its events: one JSON
   * file a compiled program, complete once the back end is disposed. It slows every step down. Default: none is written.
   */
  readonly profile?: string;
}
