/** Loads ONNX Runtime when it is first needed: it is an optional dependency. */
import type * as OnnxRuntime from "onnxruntime-node";
import { KasminaError, messageOf } from "../../base/errors.js";
import { quietRuntime } from "../../base/quiet-runtime.node.js";

export type Ort = typeof OnnxRuntime;

/** @throws KasminaError `engine` where the package is missing or does not load on this machine */
export async function loadOrt(): Promise<Ort> {
  quietRuntime();
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw new KasminaError(
      "engine",
      `the native engine needs the optional package onnxruntime-node, which does not load here (${firstLine(error)}); install it, or use the wasm engine`,
      { cause: error },
    );
  }
}

export function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0] ?? "";
}
