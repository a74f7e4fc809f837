/** The folder that an artifact is on disk: its two files, and that of a signature where it is signed. */
import { join } from "node:path";
import { hasFolder, namesIn, readRegular, readRegularIfThere } from "../base/disk/index.node.js";
import { KasminaError } from "../base/index.js";
import type { Tensors } from "../contracts/index.js";
import {
  type Artifact,
  artifactDigest,
  MANIFEST_MAX_BYTES,
  type Manifest,
  openArtifact,
  WEIGHTS_MAX_BYTES,
} from "./artifact.js";
import { SIGNATURE_MAX_BYTES } from "./signature.js";

export const MANIFEST_FILE = "manifest.json";
export const WEIGHTS_FILE = "weights.safetensors";
export const SIGNATURE_FILE = "signature";

export interface OpenedFolder {
  readonly manifest: Manifest;
  readonly tensors: Tensors;
  readonly manifestBytes: Uint8Array;
  readonly weightsBytes: Uint8Array;
}

/** An artifact outside a catalog, verified. @param sha256 left out: whatever the two files come to */
export async function readArtifactFolder(path: string, sha256?: string): Promise<Artifact> {
  await checkNames(path);
  const files = await readFiles(path);
  const expected = sha256 ?? artifactDigest(files.manifestBytes, files.weightsBytes);
  const { manifest } = openArtifact(files.manifestBytes, files.weightsBytes, expected);
  const signature = await readSignature(path);
  return { sha256: expected, manifest, ...files, ...(signature && { signature }) };
}

/** The bytes that lie there; whether they vouch for anything is another question. */
export function readSignature(path: string): Promise<Uint8Array | undefined> {
  return readRegularIfThere(join(path, SIGNATURE_FILE), { maxBytes: SIGNATURE_MAX_BYTES });
}

/** Reads and checks the two files. */
export async function openFolder(path: string, sha256: string): Promise<OpenedFolder> {
  const files = await readFiles(path);
  return { ...files, ...openArtifact(files.manifestBytes, files.weightsBytes, sha256) };
}

/** Rejects with KasminaError `corrupt` where something else lies there. */
export async function checkNames(path: string): Promise<void> {
  if (!hasFolder(path)) throw new KasminaError("io", `cannot read ${path}: there is no such folder`);
  const names = await namesIn(path);
  const files = names.filter((name) => name !== SIGNATURE_FILE).sort();
  if (files.join() !== `${MANIFEST_FILE},${WEIGHTS_FILE}`)
    throw new KasminaError(
      "corrupt",
      `${path} holds ${names.join(", ").slice(0, 200)}; an artifact is two files, and its signature`,
    );
}

async function readFiles(path: string): Promise<{ manifestBytes: Uint8Array; weightsBytes: Uint8Array }> {
  const [manifestBytes, weightsBytes] = await Promise.all([
    readRegular(join(path, MANIFEST_FILE), { maxBytes: MANIFEST_MAX_BYTES }),
    readRegular(join(path, WEIGHTS_FILE), { maxBytes: WEIGHTS_MAX_BYTES }),
  ]);
  return { manifestBytes, weightsBytes };
}
