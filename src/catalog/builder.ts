/** Builds kernels of blueprints: initial weights, prewarmed, published. What was built before is found, not built again. */
import { KasminaError } from "../base/index.js";
import { type BlueprintRegistry, initKernel, resolveParameters } from "../nn/index.js";
import { type Origin, packArtifact } from "./artifact.js";
import type { KernelCandidate, Prewarmer } from "./prewarm.js";
import type { ArtifactQuery, Catalog, CatalogEntry } from "./store.js";

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
  readonly #building = new Map<string, Promise<CatalogEntry>>();
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
  provide(wanted: ArtifactQuery): Promise<CatalogEntry> {
    const { blueprintId, slotShape, parameters, initSeed } = wanted;
    const key = JSON.stringify([blueprintId, slotShape, Object.entries(parameters).sort(), initSeed]);
    const known = this.#building.get(key);
    if (known) return known;
    const building = this.#findOrBuild(wanted).finally(() => this.#building.delete(key));
    this.#building.set(key, building);
    return building;
  }

  /** Tries given weights and publishes them. */
  async publish(candidate: KernelCandidate, origin: Origin): Promise<CatalogEntry> {
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
    return this.#options.catalog.publish(artifact);
  }

  async #findOrBuild({ blueprintId, slotShape, parameters, initSeed }: ArtifactQuery): Promise<CatalogEntry> {
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
    if (found) return found;
    const tensors = initKernel(blueprint, slotShape, resolved, initSeed);
    const startsAtZero = blueprint.form === "delta";
    const candidate = { blueprint, parameters: resolved, slotShape, tensors, startsAtZero };
    const entry = await this.publish(candidate, { kind: "built", initSeed });
    this.#built++;
    return entry;
  }
}
