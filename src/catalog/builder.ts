/** Builds kernels of blueprints: initial weights, prewarmed, published. What was built before is found, not built again. */

import { KasminaError } from "../base/index.js";
import { type BlueprintParameters, resolveParameters } from "../contracts/index.js";
import { type Blueprint, type BlueprintRegistry, initKernel } from "../nn/index.js";
import { type Origin, type Prewarm, packArtifact } from "./artifact.js";
import type { KernelCandidate, Prewarmer } from "./prewarm.js";
import type { ArtifactQuery, Catalog, CatalogEntry } from "./store.js";

/** An artifact, and how long it takes on this machine. */
export interface ProvidedKernel extends CatalogEntry {
  readonly prewarm: Prewarm;
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
  /** Under way, by what they are of. */
  readonly #building = new Map<string, Promise<ProvidedKernel>>();
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
   * Rejects with KasminaError `invalid_argument` for what no kernel can be of.
   */
  provide(wanted: ArtifactQuery): Promise<ProvidedKernel> {
    const { blueprintId, slotShape, parameters, initSeed } = wanted;
    const key = JSON.stringify([blueprintId, slotShape, Object.entries(parameters).sort(), initSeed]);
    const known = this.#building.get(key);
    if (known) return known;
    const building = this.#findOrBuild(wanted).finally(() => this.#building.delete(key));
    this.#building.set(key, building);
    return building;
  }

  /** The one artifact, verified and tried on this machine. Rejects with KasminaError `io` or `corrupt`. */
  async provideExact(blueprintId: string, sha256: string): Promise<ProvidedKernel> {
    return this.#measure(await this.#options.catalog.get(blueprintId, sha256));
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
    const { blueprint, parameters, slotShape, tensors } = candidate;
    const prewarm = await this.#options.prewarm(candidate);
    const artifact = packArtifact({
      blueprint: blueprint.id,
      parameters,
      form: blueprint.form,
      slotShape: [...slotShape],
      tensors,
      prewarm,
      creator: this.#options.creator,
      origin,
    });
    const entry = await this.#options.catalog.publish(artifact);
    return { ...entry, prewarm };
  }

  async #findOrBuild({
    blueprintId,
    slotShape,
    parameters,
    initSeed,
  }: ArtifactQuery): Promise<ProvidedKernel> {
    const blueprint = this.#options.blueprints.get(blueprintId);
    const resolved = resolveParameters(blueprint, parameters);
    if (!blueprint.supports(slotShape))
      throw new KasminaError(
        "invalid_argument",
        `${blueprintId} does not fit a slot of shape [${slotShape}]`,
      );
    const found = await this.#options.catalog.find({
      blueprintId,
      slotShape,
      parameters: resolved,
      initSeed,
    });
    if (found) return this.#measure(found);
    const candidate = freshCandidate(blueprint, slotShape, resolved, initSeed);
    const entry = await this.publish(candidate, { kind: "built", initSeed });
    this.#built++;
    return entry;
  }

  /** The manifest's figures are those of the machine that built it; the gates want this one's. */
  async #measure(entry: CatalogEntry): Promise<ProvidedKernel> {
    const { catalog, blueprints, prewarm } = this.#options;
    const { tensors } = await catalog.read(entry.ref, entry.sha256);
    const { blueprint: id, parameters, slotShape, origin } = entry.manifest;
    const blueprint = blueprints.get(id);
    const startsAtZero = origin.kind === "built" && blueprint.form === "delta";
    return { ...entry, prewarm: await prewarm({ blueprint, parameters, slotShape, tensors, startsAtZero }) };
  }
}

function freshCandidate(
  blueprint: Blueprint,
  slotShape: readonly number[],
  values: BlueprintParameters,
  initSeed: number,
): KernelCandidate {
  const parameters = resolveParameters(blueprint, values);
  const tensors = initKernel(blueprint, slotShape, parameters, initSeed);
  return { blueprint, parameters, slotShape, tensors, startsAtZero: blueprint.form === "delta" };
}
