/**
 * The catalog on disk. A folder holds
 *
 *     <blueprint>/<sha256>/manifest.json, weights.safetensors, signature where somebody vouches for it
 *     .staging/                               what is being published; may hold the remains of a crash
 *     .damaged/                               what was found damaged when a sound one took its place
 *
 * An artifact is written and forced to the disk in `.staging`; renaming its folder into place is the one instant at
 * which it comes to be. Whatever stops the program, an artifact is there whole or not at all.
 *
 * A catalog may come from a stranger. Reading changes nothing in it; no link in it is followed; what a crash left is removed by
 * who publishes, and only what bears a name that we give.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  diskFiles,
  type FileOperations,
  hasFolder,
  lstatIfThere,
  makeFolder,
  makeSubfolder,
  namesIn,
  placeOf,
  readRegular,
  removeFolder,
} from "../base/disk/index.node.js";
import { type Clock, KasminaError, messageOf, systemClock } from "../base/index.js";
import type { Kernel } from "../contracts/index.js";
import {
  type Artifact,
  artifactRef,
  BLUEPRINT_ID,
  kernelOf,
  MANIFEST_MAX_BYTES,
  type Manifest,
  parseManifest,
} from "./artifact.js";
import {
  checkNames,
  MANIFEST_FILE,
  type OpenedFolder,
  openFolder,
  readSignature,
  SIGNATURE_FILE,
  WEIGHTS_FILE,
} from "./artifact-folder.js";

const STAGING = ".staging";
const DAMAGED = ".damaged";
const DIGEST = /^[0-9a-f]{64}$/;
/** What we call a folder in `.staging`; whatever else lies there is not ours to remove. */
const STAGED = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Remains of a crash older than this are removed; younger ones may be a publication under way. */
const STAGING_MAX_AGE_MS = 60 * 60 * 1000;

export interface CatalogEntry {
  /** `<blueprint>/<sha256>`. */
  readonly ref: string;
  readonly sha256: string;
  readonly manifest: Manifest;
}

export interface CatalogListing {
  readonly entries: readonly CatalogEntry[];
  /** What lies in the catalog and is no artifact. */
  readonly problems: readonly ArtifactCheck[];
}

/** One artifact of a catalog, or one thing in it that is none. */
export interface ArtifactCheck {
  readonly ref: string;
  /** Left out where all is well. */
  readonly problem?: string;
}

/** Which artifact is wanted: all of these, exactly. */
export interface ArtifactQuery {
  readonly blueprintId: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly slotShape: readonly number[];
  readonly initSeed: number;
}

export interface CatalogOptions {
  /** Whether a catalog is made where there is none. Default true. */
  readonly create?: boolean;
  /** The disk's operations, so that a test can stop at any of them. */
  readonly files?: FileOperations;
  readonly clock?: Clock;
}

export class Catalog {
  readonly #root: string;
  readonly #files: FileOperations;
  readonly #clock: Clock;
  #isSwept = false;
  /** Built artifacts by what they were built from, as far as they were asked for or published here. */
  readonly #built = new Map<string, CatalogEntry>();

  /** Opens a catalog, making the folder where there is none. */
  static async open(root: string, options: CatalogOptions = {}): Promise<Catalog> {
    const { create = true } = options;
    try {
      if (create) await makeFolder(root);
      const place = placeOf(root);
      if (place !== undefined) return new Catalog(place, options);
    } catch (error) {
      throw new KasminaError("io", `cannot open the catalog ${root}: ${messageOf(error)}`, { cause: error });
    }
    throw new KasminaError("invalid_argument", `there is no catalog at ${root}`);
  }

  private constructor(root: string, { files = diskFiles, clock = systemClock }: CatalogOptions) {
    this.#root = root;
    this.#files = files;
    this.#clock = clock;
  }

  get root(): string {
    return this.#root;
  }

  /**
   * Puts an artifact in place, whole or not at all. One that is there already is left as it is if it is sound, and else
   * moved to `.damaged`.
   */
  async publish(artifact: Artifact): Promise<CatalogEntry> {
    const { sha256, manifest } = artifact;
    const ref = artifactRef(manifest.blueprint, sha256);
    const staged = join(this.#root, STAGING, randomUUID());
    const folder = join(this.#root, manifest.blueprint);
    try {
      await this.#sweep();
      await makeSubfolder(staged);
      await this.#files.writeSynced(join(staged, MANIFEST_FILE), artifact.manifestBytes);
      await this.#files.writeSynced(join(staged, WEIGHTS_FILE), artifact.weightsBytes);
      await this.#files.syncFolder(staged);
      await makeSubfolder(folder);
      await this.#files.syncFolder(this.#root);
      await this.#rename(staged, ref, sha256);
      await this.#files.syncFolder(folder);
      if (artifact.signature) await this.#placeSignature(ref, artifact.signature);
    } catch (error) {
      await removeFolder(staged).catch(() => undefined);
      if (error instanceof KasminaError) throw error;
      throw new KasminaError("io", `cannot publish ${ref}: ${messageOf(error)}`, { cause: error });
    }
    const entry = { ref, sha256, manifest };
    const key = builtKey(entry);
    if (key !== undefined) this.#built.set(key, entry);
    return entry;
  }

  /** Puts a signature beside an artifact that is there and sound. Rejects with KasminaError `io` or `corrupt`. */
  async sign(ref: string, signature: Uint8Array): Promise<CatalogEntry> {
    const { blueprintId, sha256 } = partsOf(ref);
    const entry = await this.get(blueprintId, sha256);
    await this.#placeSignature(ref, signature);
    return entry;
  }

  /** The signature of an artifact as it lies there; whether it holds is for {@link checkSignature}. */
  async signatureOf(ref: string): Promise<Uint8Array | undefined> {
    this.#refuseLinks(partsOf(ref).blueprintId, ref);
    return readSignature(join(this.#root, ref));
  }

  async #placeSignature(ref: string, signature: Uint8Array): Promise<void> {
    await this.#sweep();
    const staged = join(this.#root, STAGING, randomUUID());
    await makeSubfolder(staged);
    try {
      await this.#files.writeSynced(join(staged, SIGNATURE_FILE), signature);
      await this.#files.rename(join(staged, SIGNATURE_FILE), join(this.#root, ref, SIGNATURE_FILE));
      await this.#files.syncFolder(join(this.#root, ref));
    } finally {
      await removeFolder(staged).catch(() => undefined);
    }
  }

  /** The verified kernel; the reader of a prefetch. Rejects with KasminaError `corrupt` or `io`. */
  async read(ref: string, sha256: string, signal?: AbortSignal): Promise<Kernel> {
    if (partsOf(ref).sha256 !== sha256)
      throw new KasminaError("corrupt", `${ref} does not name artifact ${sha256.slice(0, 64)}`);
    signal?.throwIfAborted();
    const { manifest, tensors } = await this.#open(ref);
    return kernelOf(sha256, manifest, tensors);
  }

  /** One artifact, verified. Rejects with KasminaError `io` where it is not there, `corrupt` where it is not sound. */
  async get(blueprintId: string, sha256: string): Promise<CatalogEntry> {
    const ref = artifactRef(blueprintId, sha256);
    const { manifest } = await this.#open(ref);
    return { ref, sha256, manifest };
  }

  /** All artifacts by their manifests, which are parsed but not verified, in order of their refs. */
  async list(): Promise<CatalogListing> {
    const entries: CatalogEntry[] = [];
    const problems: ArtifactCheck[] = [];
    for (const ref of await this.#names()) {
      try {
        entries.push(await this.#entry(ref));
      } catch (error) {
        problems.push({ ref, problem: messageOf(error) });
      }
    }
    return { entries, problems };
  }

  /** A built artifact of exactly this that is sound now; the first by its digest where there are several. */
  async find(query: ArtifactQuery): Promise<CatalogEntry | undefined> {
    const key = keyOf(query);
    const known = this.#built.get(key);
    if (known && (await this.#isSound(known.ref))) return known;
    this.#built.delete(key);
    const { entries } = await this.list();
    for (const entry of entries) {
      if (builtKey(entry) !== key || !(await this.#isSound(entry.ref))) continue;
      this.#built.set(key, entry);
      return entry;
    }
    return undefined;
  }

  /** Reads and checks everything there is, in order of the refs. */
  async verify(): Promise<readonly ArtifactCheck[]> {
    const checks: ArtifactCheck[] = [];
    for (const ref of await this.#names()) {
      const problem = await this.#inspect(ref).then(() => undefined, messageOf);
      checks.push(problem === undefined ? { ref } : { ref, problem });
    }
    return checks;
  }

  async #rename(staged: string, ref: string, sha256: string): Promise<void> {
    const place = join(this.#root, ref);
    try {
      await this.#files.rename(staged, place);
    } catch (error) {
      if (!isOccupied(error)) throw error;
      if (await this.#isSound(ref)) {
        await removeFolder(staged);
        return;
      }
      await makeSubfolder(join(this.#root, DAMAGED));
      await this.#files.rename(place, join(this.#root, DAMAGED, `${sha256}-${randomUUID()}`));
      await this.#files.rename(staged, place);
    }
  }

  async #open(ref: string): Promise<OpenedFolder> {
    const { blueprintId, sha256 } = partsOf(ref);
    this.#refuseLinks(blueprintId, ref);
    const opened = await openFolder(join(this.#root, ref), sha256);
    checkBlueprint(ref, blueprintId, opened.manifest);
    return opened;
  }

  async #inspect(ref: string): Promise<void> {
    await this.#open(ref);
    await checkNames(join(this.#root, ref));
  }

  async #entry(ref: string): Promise<CatalogEntry> {
    const { blueprintId, sha256 } = partsOf(ref);
    this.#refuseLinks(blueprintId, ref);
    const manifest = parseManifest(
      await readRegular(join(this.#root, ref, MANIFEST_FILE), { maxBytes: MANIFEST_MAX_BYTES }),
    );
    checkBlueprint(ref, blueprintId, manifest);
    return { ref, sha256, manifest };
  }

  /** An artifact's folder, and the one it is in, are folders of this catalog. */
  #refuseLinks(blueprintId: string, ref: string): void {
    for (const name of [blueprintId, ref]) hasFolder(join(this.#root, name));
  }

  #isSound(ref: string): Promise<boolean> {
    return this.#open(ref).then(
      () => true,
      () => false,
    );
  }

  /** `<folder>/<name>` of everything two levels down, and `<name>` of what is no folder. */
  async #names(): Promise<readonly string[]> {
    const names: string[] = [];
    for (const name of await namesIn(this.#root)) {
      if (name === STAGING || name === DAMAGED) continue;
      const folder = join(this.#root, name);
      if (!lstatIfThere(folder)?.isDirectory()) names.push(name);
      else for (const below of await namesIn(folder)) names.push(`${name}/${below}`);
    }
    return names.sort();
  }

  /** Makes `.staging`, and removes, once, what crashes left there long ago. */
  async #sweep(): Promise<void> {
    const staging = join(this.#root, STAGING);
    await makeSubfolder(staging);
    if (this.#isSwept) return;
    this.#isSwept = true;
    for (const name of (await namesIn(staging)).filter((name) => STAGED.test(name))) {
      const path = join(staging, name);
      const stats = lstatIfThere(path);
      const ageMs = this.#clock.nowMs() - (stats?.mtimeMs ?? Number.POSITIVE_INFINITY);
      if (stats?.isDirectory() && ageMs > STAGING_MAX_AGE_MS) await removeFolder(path);
    }
  }
}

/** What a reference is made of; nothing else can become a path. */
function partsOf(ref: string): { readonly blueprintId: string; readonly sha256: string } {
  const [blueprintId = "", sha256 = "", ...rest] = ref.split("/");
  if (!BLUEPRINT_ID.test(blueprintId) || !DIGEST.test(sha256) || rest.length > 0)
    throw new KasminaError("corrupt", `${ref.slice(0, 200)} does not name an artifact`);
  return { blueprintId, sha256 };
}

function checkBlueprint(ref: string, blueprintId: string, manifest: Manifest): void {
  if (manifest.blueprint !== blueprintId)
    throw new KasminaError("corrupt", `${ref} is a kernel of ${manifest.blueprint}`);
}

function builtKey({ manifest }: CatalogEntry): string | undefined {
  const { blueprint, parameters, slotShape, origin } = manifest;
  if (origin.kind !== "built") return undefined;
  return keyOf({ blueprintId: blueprint, parameters, slotShape, initSeed: origin.initSeed });
}

function keyOf({ blueprintId, parameters, slotShape, initSeed }: ArtifactQuery): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([blueprintId, sorted, slotShape, initSeed]);
}

/** What rename says of a folder that is there and not empty differs between systems. */
function isOccupied(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "EPERM";
}
