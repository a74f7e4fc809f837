/** Loads ONNX Runtime when it is first needed: it is an optional dependency. */
import type * as OnnxRuntime from "onnxruntime-node";
import { KasminaError, messageOf } from "../../base/errors.js";
import { quietRuntime } from "../../base/quiet-runtime.node.js";

export type Ort = typeof OnnxRuntime;

/**
 * Gets the package where npm left it out: its install script fetches GPU libraries that we do not use, from a host that not every
 * network lets through, and npm drops an optional package whose script fails without a word.
 */
const INSTALL_COMMAND = "npm install --no-save --ignore-scripts onnxruntime-node@1.30.0";

/** @throws KasminaError `engine` where the package is missing or does not load on this machine, with what helps */
export async function loadOrt(load: () => Promise<Ort> = () => import("onnxruntime-node")): Promise<Ort> {
  quietRuntime();
  try {
    return await load();
  } catch (error) {
    throw new KasminaError(
      "engine",
      isMissing(error)
        ? `the native engine needs the optional package onnxruntime-node, which npm has left out: run \`${INSTALL_COMMAND}\`, or use the wasm engine, which is slower`
        : `the native engine needs the optional package onnxruntime-node, which does not load here (${firstLine(error)}): use the wasm engine`,
      { cause: error },
    );
  }
}

function isMissing(error: unknown): boolean {
  return /Cannot find (package|module) 'onnxruntime-node'/.test(messageOf(error));
}

export function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0] ?? "";
}
