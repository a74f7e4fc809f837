/** Hosts from ONNX files on the disk. The tracing process makes the same host from the same path, options and digest. */
import { dirname, join } from "node:path";
import { readRegularSync } from "../../../base/disk/index.node.js";
import { KasminaError, sha256Hex } from "../../../base/index.js";
import type { ReadExternal } from "../../../engine/index.js";
import type { Host } from "../../host.js";
import { describeOnnx, type OnnxDescription } from "./describe.js";
import { type OnnxHostOptions, type OnnxTask, onnxHost } from "./onnx-host.js";

/** What a protobuf file can hold. */
const MAX_MODEL_BYTES = 2 ** 31 - 1;
const MAX_EXTERNAL_BYTES = 2 ** 32;

/** What can be said of a host in another process: plain data. */
export type OnnxFileOptions = Omit<OnnxHostOptions, "readExternal">;

interface OnnxFile {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly readExternal: ReadExternal;
}

/** @throws KasminaError `io` where it cannot be read */
function readOnnxFile(path: string): OnnxFile {
  const bytes = readRegularSync(path, { maxBytes: MAX_MODEL_BYTES });
  const beside = new Map<string, Uint8Array>();
  const readExternal: ReadExternal = (location, offset, length) => {
    // The importer has checked that the location stays in the folder; links are not followed.
    const file =
      beside.get(location) ??
      readRegularSync(join(dirname(path), location), { maxBytes: MAX_EXTERNAL_BYTES });
    beside.set(location, file);
    return file.subarray(offset, length === undefined ? undefined : offset + length);
  };
  return { bytes, sha256: sha256Hex(bytes), readExternal };
}

/** SHA-256 of the file. @throws KasminaError `io` where it cannot be read */
export function onnxFileDigest(path: string): string {
  return readOnnxFile(path).sha256;
}

/**
 * The host of a file.
 *
 * @param sha256 the digest that it must have
 * @throws KasminaError `io` where it cannot be read, `invalid_data` where it has changed or cannot be imported, as
 * {@link onnxHost}
 */
export function openOnnxHost(path: string, options: OnnxFileOptions, sha256: string, task: OnnxTask): Host {
  const file = readOnnxFile(path);
  if (file.sha256 !== sha256)
    throw new KasminaError(
      "invalid_data",
      `${path} is not the file that the run began with: its digest differs`,
    );
  return onnxHost(file.bytes, task, { ...options, readExternal: file.readExternal });
}

/** @param inputShape sizes of the main input without its batch axis, where the file leaves them free */
export function describeOnnxFile(
  path: string,
  inputShape?: readonly number[],
): OnnxDescription & { readonly sha256: string } {
  const { bytes, sha256, readExternal } = readOnnxFile(path);
  return { ...describeOnnx(bytes, { readExternal, ...(inputShape ? { inputShape } : {}) }), sha256 };
}
