/** A back end and the WebAssembly one beside it, for the suites that hold one against the other. */
import { afterAll, beforeAll } from "vitest";
import type { Backend } from "./backend.js";
import { createWasmBackend } from "./jax-backend.js";

/** Opens both before the tests of the `describe` around it, and closes them after. */
export function againstWasm(open: () => Promise<Backend>): { wasm: Backend; backend: Backend } {
  const both = {} as { wasm: Backend; backend: Backend };
  beforeAll(async () => {
    both.wasm = await createWasmBackend();
    both.backend = await open();
  });
  afterAll(async () => {
    await both.wasm.dispose();
    await both.backend.dispose();
  });
  return both;
}
