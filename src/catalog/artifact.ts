/**
 * An artifact: one vetted kernel as two files, `manifest.json` and `weights.safetensors`, addressed by the SHA-256 over
 * both. Data only: nothing in it is ever executed.
 */
import { z } from "zod";
import { KasminaError, parseStrictJson, sha256Hex, u32be, utf8 } from "../base/index.js";
import { decodeSafetensors, encodeSafetensors, type Kernel, type Tensors } from "../contracts/index.js";

export const MANIFEST_MAX_BYTES = 64 * 1024;
/** 128 Mi float32 weights, far more than a seed module has. */
export const WEIGHTS_MAX_BYTES = 512 * 1024 * 1024;

const FORMAT = "kasmina.artifact.v1";

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const milliseconds = z.number().nonnegative();
const shape = z.array(z.int().nonnegative()).max(8);
const name = z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,63}$/);

/** Lower-case words with dashes: what can be a folder on every file system. */
export const BLUEPRINT_ID = /^[a-z0-9][a-z0-9-]{0,63}$/;

const origin = z.discriminatedUnion("kind", [
  /** Initial weights, drawn with this random seed. */
  z.strictObject({ kind: z.literal("built"), initSeed: z.int().nonnegative() }),
  /** The weights of a seed as a run left them. */
  z.strictObject({
    kind: z.literal("harvested"),
    trainingRunId: z.string().min(1).max(256),
    seedId: z.string().min(1).max(256),
  }),
]);

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  blueprint: z.string().regex(BLUEPRINT_ID),
  /** Every parameter of the blueprint, none left to a default that might change. */
  parameters: z.record(name, z.number()),
  form: z.enum(["delta", "replacement"]),
  /** Of the activation, without the batch axis. */
  slotShape: shape,
  weights: z.strictObject({
    sha256: digest,
    bytes: z.int().positive(),
    /** By name relative to the seed; all are float32. */
    shapes: z.record(name, shape),
  }),
  /** One forward pass of k(h) over `batch` examples on `engine`. */
  prewarm: z.strictObject({
    p50Ms: milliseconds,
    p95Ms: milliseconds,
    batch: z.int().positive(),
    engine: z.string().max(64),
  }),
  creator: z.string().min(1).max(128),
  origin,
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;
export type Prewarm = Manifest["prewarm"];
export type Origin = Manifest["origin"];

/** An artifact in memory, as the bytes of its two files. */
export interface Artifact {
  readonly sha256: string;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly weightsBytes: Uint8Array;
  /** Who vouches for it; left out where nobody does. */
  readonly signature?: Uint8Array;
}

/** What an artifact is made of. */
export type ArtifactContent = Omit<Manifest, "format" | "weights"> & { readonly tensors: Tensors };

/** `<blueprint>/<sha256>`: how an artifact is named on the bus and where it lies in a catalog. */
export function artifactRef(blueprintId: string, sha256: string): string {
  return `${blueprintId}/${sha256}`;
}

/** The two files that this content comes to, and their id. Whether a reader would take them is for {@link packArtifact}. */
export function formArtifact({ tensors, ...content }: ArtifactContent): Artifact {
  const sorted = Object.fromEntries(Object.entries(tensors).sort(([a], [b]) => (a < b ? -1 : 1)));
  const weightsBytes = encodeSafetensors(sorted);
  const shapes = Object.fromEntries(Object.entries(sorted).map(([key, tensor]) => [key, [...tensor.shape]]));
  const manifest = {
    format: FORMAT,
    ...content,
    weights: { sha256: sha256Hex(weightsBytes), bytes: weightsBytes.length, shapes },
  } satisfies Manifest;
  const manifestBytes = utf8(`${JSON.stringify(manifest, null, 2)}\n`);
  return { sha256: artifactDigest(manifestBytes, weightsBytes), manifest, manifestBytes, weightsBytes };
}

/** An artifact for others. @throws KasminaError `invalid_argument` for content that a reader would refuse */
export function packArtifact(content: ArtifactContent): Artifact {
  const artifact = formArtifact(content);
  const { manifestBytes, weightsBytes, sha256 } = artifact;
  try {
    return { ...artifact, manifest: openArtifact(manifestBytes, weightsBytes, sha256).manifest };
  } catch (error) {
    const { message } = KasminaError.from(error);
    throw new KasminaError("invalid_argument", `this cannot be an artifact: ${message}`, { cause: error });
  }
}

/**
 * Everything about an artifact is checked here, the digest before a byte is parsed.
 * @throws KasminaError `corrupt` naming what does not fit
 */
export function openArtifact(
  manifestBytes: Uint8Array,
  weightsBytes: Uint8Array,
  sha256: string,
): { readonly manifest: Manifest; readonly tensors: Tensors } {
  if (artifactDigest(manifestBytes, weightsBytes) !== sha256)
    throw corrupt(`its SHA-256 is not ${sha256.slice(0, 64)}`);
  const manifest = parseManifest(manifestBytes);
  const { weights } = manifest;
  if (weights.bytes !== weightsBytes.length || weights.sha256 !== sha256Hex(weightsBytes))
    throw corrupt("the weights are not those of the manifest");
  const { tensors } = decodeSafetensors(weightsBytes, { dataMaxBytes: WEIGHTS_MAX_BYTES });
  checkTensors(tensors, weights.shapes);
  return { manifest, tensors };
}

/** @throws KasminaError `corrupt` */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_MAX_BYTES)
    throw corrupt(`a manifest of ${bytes.length} bytes, ${MANIFEST_MAX_BYTES} are allowed`);
  const parsed = manifestSchema.safeParse(parseStrictJson(textOf(bytes)));
  if (!parsed.success) throw corrupt(`manifest: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

export function kernelOf(sha256: string, manifest: Manifest, tensors: Tensors): Kernel {
  return {
    blueprintId: manifest.blueprint,
    parameters: manifest.parameters,
    sha256,
    form: manifest.form,
    tensors,
    prewarmP50Ms: manifest.prewarm.p50Ms,
    prewarmP95Ms: manifest.prewarm.p95Ms,
    fallbackUsed: false,
  };
}

/** An artifact's id. The length of the manifest is in it, so that no byte can move from one file to the other. */
export function artifactDigest(manifestBytes: Uint8Array, weightsBytes: Uint8Array): string {
  return sha256Hex(`${FORMAT}\0`, u32be(manifestBytes.length), manifestBytes, weightsBytes);
}

function checkTensors(tensors: Tensors, shapes: Readonly<Record<string, readonly number[]>>): void {
  const names = Object.keys(tensors).sort();
  if (names.join() !== Object.keys(shapes).sort().join())
    throw corrupt(`it holds the weights ${names}, the manifest names ${Object.keys(shapes).sort()}`);
  for (const [key, tensor] of Object.entries(tensors)) {
    const expected = shapes[key] ?? [];
    if (tensor.dtype !== "float32" || tensor.shape.join() !== expected.join())
      throw corrupt(`${key} is ${tensor.dtype}[${tensor.shape}], the manifest says float32[${expected}]`);
    if (!allFinite(tensor.data)) throw corrupt(`${key} holds a value that is not finite`);
  }
}

/** A plain loop: `every` takes five times as long, and this is most of what reading an artifact costs. */
function allFinite(data: ArrayLike<number>): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw corrupt("the manifest is not UTF-8", error);
  }
}

function corrupt(what: string, cause?: unknown): KasminaError {
  return new KasminaError("corrupt", `artifact: ${what}`, { cause });
}
