/** How the GPU back end is opened: the package behind it shows in none of this, so that its types need not be installed. */
import type { GpuBackend, GpuOptions } from "./gpu-options.js";
import { openWebGpuBackend } from "./web-gpu-backend.js";

/**
 * Opens the GPU back end on the adapter that the system prefers. One thread of a process may have one at a time.
 * @throws KasminaError `engine` where onnxruntime-node does not load, or finds no GPU; where another thread has one
 * @example
 * const backend = await createGpuBackend();
 * const run = await grow({ data: "spirals", engine: backend });
 * console.log(backend.device.bytes);
 */
export function createGpuBackend(options: GpuOptions = {}): Promise<GpuBackend> {
  return openWebGpuBackend(options);
}
