/** Builds kernels of blueprints: initial weights, prewarmed, published. What was built before is found, not built again. */

import { JoinTable, KasminaError, sha256Hex } from "../base/index.js";
import {
  type BlueprintParameters,
  resolveParameters,
  sameTensors,
  type Tensors,
} from "../contracts/index.js";
import { type Blueprint, type BlueprintRegistry, initKernel } from "../nn/index.js";
import { type ArtifactContent, type Origin, type Prewarm, packArtifact } from "./artifact.js";
import type { KernelCandidate, Prewarmer } from "./prewarm.js";
import type { ArtifactQuery, Catalog, CatalogEntry } from "./store.js";

/** An artifact, and how long it takes on this machine at the slot that asks. */
export interface ProvidedKernel extends CatalogEntry {
  readonly prewarm: Prewarm;
  /** Whether what was asked for could not be built, and this is another kernel of the blueprint. */
  readonly fallbackUsed: boolean;
}

/** The random seed of a kernel's initial weights: one of its own for each seed of a run. */
export function kernelSeed(runSeed: number, seedId: string): number {
  return Number.parseInt(sha256Hex(`${runSeed}/${seedId}`).slice(0, 8), 16);
}

/** A kernel with initial weights. @throws KasminaError `invalid_argument` for what no kernel can be of */
export function freshCandidate(
  blueprint: Blueprint,
  slotShape: readonly number[],
  values: BlueprintParameters,
  initSeed: number,
): KernelCandidate {
  const parameters = resolveParameters(blueprint, values);
  if (!blueprint.supports(slotShape))
    throw new KasminaError("invalid_argument", `${blueprint.id} does not fit a slot of shape [${slotShape}]`);
  const tensors = initKernel(blueprint, slotShape, parameters, initSeed);
  return { blueprint, parameters, slotShape, tensors, startsAtZero: blueprint.form === "delta" };
}

/** What the artifact of a candidate is made of, once it was tried. */
export function contentOf(
  { blueprint, parameters, slotShape, tensors }: KernelCandidate,
  made: Pick<ArtifactContent, "prewarm" | "creator" | "origin">,
): ArtifactContent {
  const { id, form } = blueprint;
  return { blueprint: id, parameters, form, slotShape: [...slotShape], tensors, ...made };
}

export interface KernelBuilderOptions {
  readonly catalog: Catalog;
  readonly blueprints: BlueprintRegistry;
  readonly prewarm: Prewarmer;
  /** Written into the manifest: program and version. */
  readonly creator: string;
}

export class KernelBuilder {
  readonly #options: KernelBuilderOptions;
  /** By what they are of. */
  readonly #building = new JoinTable<ProvidedKernel>();
  #built = 0;

  constructor(options: KernelBuilderOptions) {
    this.#options = options;
  }

  /** How many were built, not found. */
  get built(): number {
    return this.#built;
  }

  /**
   * A kernel of exactly this, from the catalog or built for it; parameters left out take their defaults. Identical calls
   * share one build.
   * Rejects with KasminaError `invalid_argument` for what no kernel can be of; with what kept it from being built.
   */
  provide(wanted: ArtifactQuery): Promise<ProvidedKernel> {
    const { blueprintId, slotShape, parameters, initSeed } = wanted;
    const key = JSON.stringify([blueprintId, slotShape, Object.entries(parameters).sort(), initSeed]);
    return this.#building.join(key, () => this.#findOrBuild(wanted));
  }

  /**
   * Another kernel for who asked for one that cannot be built: the first built one of the blueprint for that slot shape
   * that is sound and runs here, whatever its parameters and weights. It says so (`fallbackUsed`), and Kasmina's gates
   * refuse it. Undefined where the catalog has none.
   */
  async fallbackFor({
    blueprintId,
    slotShape,
  }: Pick<ArtifactQuery, "blueprintId" | "slotShape">): Promise<ProvidedKernel | undefined> {
    const { entries } = await this.#options.catalog.list();
    for (const { sha256, manifest } of entries) {
      const { blueprint, origin } = manifest;
      if (blueprint !== blueprintId || origin.kind !== "built") continue;
      if (manifest.slotShape.join() !== slotShape.join()) continue;
      const provided = await this.provideExact(blueprintId, sha256, slotShape).catch(() => undefined);
      if (provided) return { ...provided, fallbackUsed: true };
    }
    return undefined;
  }

  /**
   * The one artifact, verified and tried on this machine at a slot of `slotShape`.
   * Rejects with KasminaError `io` or `corrupt`, or with what keeps it from running there.
   */
  async provideExact(
    blueprintId: string,
    sha256: string,
    slotShape: readonly number[],
  ): Promise<ProvidedKernel> {
    return this.#tried(await this.#options.catalog.get(blueprintId, sha256), slotShape);
  }

  /** Times kernels of a kind before anyone waits for one; publishes nothing. A slot that does not fit is passed over. */
  async prewarm(
    blueprintId: string,
    slotShape: readonly number[],
    parameters: BlueprintParameters,
  ): Promise<void> {
    const blueprint = this.#options.blueprints.get(blueprintId);
    if (blueprint.supports(slotShape))
      await this.#options.prewarm(freshCandidate(blueprint, slotShape, parameters, 0));
  }

  /** Tries given weights and publishes them. */
  async publish(candidate: KernelCandidate, origin: Origin): Promise<ProvidedKernel> {
    const { catalog, creator } = this.#options;
    const prewarm = await this.#options.prewarm(candidate);
    const artifact = packArtifact(contentOf(candidate, { prewarm, creator, origin }));
    return { ...(await catalog.publish(artifact)), prewarm, fallbackUsed: false };
  }

  async #findOrBuild(wanted: ArtifactQuery): Promise<ProvidedKernel> {
    const { blueprintId, slotShape, initSeed } = wanted;
    const blueprint = this.#options.blueprints.get(blueprintId);
    const candidate = freshCandidate(blueprint, slotShape, wanted.parameters, initSeed);
    const { parameters } = candidate;
    const found = await this.#options.catalog.find({ blueprintId, slotShape, parameters, initSeed });
    // Whatever its manifest says: fresh weights are those that are drawn here, to the last bit.
    if (found && sameTensors(await this.#weightsOf(found), candidate.tensors))
      return this.#tried(found, slotShape);
    const entry = await this.publish(candidate, { kind: "built", initSeed });
    this.#built++;
    return entry;
  }

  /** Tried where it is asked for: the manifest's figures are those of the slot and the machine that it was built for. */
  async #tried(entry: CatalogEntry, slotShape: readonly number[]): Promise<ProvidedKernel> {
    const tensors = await this.#weightsOf(entry);
    const { blueprint: id, parameters } = entry.manifest;
    const blueprint = this.#options.blueprints.get(id);
    const startsAtZero = blueprint.form === "delta" && this.#isFresh(entry, tensors);
    const candidate = { blueprint, parameters, slotShape, tensors, startsAtZero };
    return { ...entry, prewarm: await this.#options.prewarm(candidate), fallbackUsed: false };
  }

  async #weightsOf({ ref, sha256 }: CatalogEntry): Promise<Tensors> {
    return (await this.#options.catalog.read(ref, sha256)).tensors;
  }

  /** Whether an artifact that says it has initial weights has them; one that has others counts as harvested. */
  #isFresh({ manifest }: CatalogEntry, tensors: Tensors): boolean {
    const { blueprint: id, slotShape, parameters, origin } = manifest;
    if (origin.kind !== "built") return false;
    const blueprint = this.#options.blueprints.get(id);
    return sameTensors(tensors, freshCandidate(blueprint, slotShape, parameters, origin.initSeed).tensors);
  }
}
