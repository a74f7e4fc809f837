/** Chooses a back end. */
import { messageOf } from "../base/errors.js";
import type { Backend } from "./backend.js";
import { createBrowserGpuBackend, createWasmBackend } from "./jax-backend.js";

/** `auto` takes native where it loads, else wasm; never gpu or a browser's webgpu, which give other bits on other machines. */
export type EngineChoice = "auto" | "native" | "wasm" | "gpu" | "gpu:cuda" | "webgpu";
export const ENGINE_CHOICES: readonly EngineChoice[] = [
  "auto",
  "native",
  "wasm",
  "gpu",
  "gpu:cuda",
  "webgpu",
];

export interface OpenBackendOptions {
  /** Threads of one operator on the native engine. Default: all cores. The wasm engine has one. */
  readonly threads?: number;
}

export interface OpenedBackend {
  readonly backend: Backend;
  /** Which engine runs and why, for people. */
  readonly reason: string;
}

/** Opens a back end. @throws KasminaError `engine` where one that is named explicitly does not load */
export async function openBackend(
  choice: EngineChoice,
  options: OpenBackendOptions = {},
): Promise<OpenedBackend> {
  if (choice === "wasm") return opened(await createWasmBackend(), "as asked");
  if (choice === "webgpu") return opened(await createBrowserGpuBackend(), "as asked");
  if (choice === "gpu:cuda") return opened(await openCuda(), "as asked");
  if (choice === "gpu") return opened(await openGpu(), "as asked");
  if (choice === "native") return opened(await openNative(options), "as asked");
  let failure: string;
  try {
    return opened(await openNative(options), "the fastest that loads here");
  } catch (error) {
    failure = messageOf(error);
  }
  return opened(await createWasmBackend(), failure);
}

/** Imported when it is asked for: it needs Node, and a package that may be missing. A browser's bundle has a refusal in its place. */
async function openNative(options: OpenBackendOptions): Promise<Backend> {
  const { createNativeBackend } = await import("#native-engine");
  return createNativeBackend(options);
}

async function openGpu(): Promise<Backend> {
  const { createGpuBackend } = await import("#native-engine");
  return createGpuBackend();
}

async function openCuda(): Promise<Backend> {
  const { createCudaBackend } = await import("#native-engine");
  return createCudaBackend();
}

function opened(backend: Backend, why: string): OpenedBackend {
  return { backend, reason: `${backend.name}: ${backend.description} (${why})` };
}
