/**
 * The CUDA engine: the native engine's programs on ONNX Runtime's CUDA provider, for those who have installed that; it is not in the
 * npm package. State and update stay in this process's memory: parameters go to the device and gradients come back at each step.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { KasminaError } from "../../base/errors.js";
import type { Backend } from "../backend.js";
import { GraphBuilder } from "../onnx/graph.js";
import { writeOnnx } from "../onnx/write-onnx.js";
import { firstLine, loadOrt, type Ort } from "./ort.js";
import { OrtBackend } from "./ort-backend.js";
import { createSession } from "./session.js";

const INSTALL = "ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node";

/** Of all that runs beside the device. */
const OPTIONS = { engine: "gpu:cuda", threads: 1, spinning: false } as const;

/**
 * Opens the CUDA back end.
 * @param load gives the package
 * @param library where its CUDA provider would be
 * @throws KasminaError `engine` where the provider is not installed or does not start, with what to install
 */
export async function openCudaBackend(
  load: () => Promise<Ort> = loadOrt,
  library: () => string = providerLibrary,
): Promise<Backend> {
  const ort = await load();
  if (process.platform !== "linux" || process.arch !== "x64")
    throw refusal(
      `ONNX Runtime's CUDA provider for Node is for Linux on x64, and this is ${process.platform}`,
    );
  if (!existsSync(library()))
    throw refusal(
      `onnxruntime-node is without its CUDA provider: run \`${INSTALL}\`, which also needs CUDA 12 and cuDNN 9 on the system`,
    );
  try {
    const session = await createSession(ort, "a first program", probe(), OPTIONS);
    await session.release();
  } catch (error) {
    throw refusal(`${firstLine(error)}: it needs CUDA 12, cuDNN 9 and a card of NVIDIA`, error);
  }
  return new OrtBackend(ort, OPTIONS, "CUDA");
}

function refusal(problem: string, cause?: unknown): KasminaError {
  const message = `the gpu:cuda engine does not start: ${problem}; or use gpu or native`;
  return new KasminaError("engine", message, { cause });
}

/** Beside the package's own library, where its install script puts it. */
function providerLibrary(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "../bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so");
}

/** x ↦ −x, as a model. */
function probe(): { readonly model: Uint8Array } {
  const graph = new GraphBuilder();
  const value = graph.input("float32", [1]);
  const outputs = [{ name: "o0", value: graph.node("Neg", [value], value) }];
  return { model: writeOnnx({ nodes: graph.nodes, inputs: [{ name: "i0", value }], outputs }) };
}
