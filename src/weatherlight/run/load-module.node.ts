/** Loads hosts and blueprints from files of one's own. */
import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readRegular } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, sha256Hex } from "../../base/index.js";
import type { OnnxTask } from "../../nn/index.js";
import { onnxFileDigest, openOnnxHost } from "../../nn/index.node.js";
import { moduleReference, parseModuleReference } from "./module-reference.js";
import { isOnnxReference, onnxReference, parseOnnxReference } from "./onnx-reference.js";
import type { LoadedModule } from "./sources.js";

/** Of a file of code. */
const MAX_MODULE_BYTES = 16 * 1024 * 1024;

export function absoluteModule(reference: string): string {
  if (isOnnxReference(reference)) {
    const { file, options } = parseOnnxReference(reference);
    return onnxReference({ file: resolve(file), options });
  }
  const { file, name } = parseModuleReference(reference);
  return moduleReference({ file: resolve(file), name });
}

/** @throws KasminaError `invalid_argument` where the file cannot be loaded, or exports nothing of that name */
export async function loadModule(reference: string): Promise<LoadedModule> {
  if (isOnnxReference(reference)) return loadOnnx(reference);
  const { file: given, name } = parseModuleReference(reference);
  const file = resolve(given);
  const url = pathToFileURL(file).href;
  try {
    const sha256 = sha256Hex(await readRegular(await realpath(file), { maxBytes: MAX_MODULE_BYTES }));
    const value = ((await import(url)) as Readonly<Record<string, unknown>>)[name];
    if (value === undefined) throw new KasminaError("invalid_argument", `it exports no ${name}`);
    return { value, file, name, sha256, url };
  } catch (error) {
    throw new KasminaError("invalid_argument", `cannot load ${reference}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A host of an ONNX file: another process makes the same one from its path, its options and its digest. */
function loadOnnx(reference: string): LoadedModule {
  const { file: given, options } = parseOnnxReference(reference);
  const file = resolve(given);
  const sha256 = onnxFileDigest(file);
  const args = [file, options, sha256] as const;
  const url = new URL("../../nn/index.node.js", import.meta.url).href;
  const value = (task: OnnxTask) => openOnnxHost(...args, task);
  return { value, file, name: "openOnnxHost", sha256, url, args };
}
