/** The blueprints that come with Kasmina, and the registry that a run looks its blueprints up in. */
import { KasminaError } from "../../base/index.js";
import type { Blueprint } from "../blueprint.js";
import { attentionResidual } from "./attention-residual.js";
import { convResidual } from "./conv-residual.js";
import { hostBlock } from "./host-block.js";
import { lowRank } from "./low-rank.js";
import { mlpResidual } from "./mlp-residual.js";
import { squeezeExcite } from "./squeeze-excite.js";

export { attentionResidual, convResidual, hostBlock, lowRank, mlpResidual, squeezeExcite };

/** Blueprints by id. */
export class BlueprintRegistry {
  readonly #blueprints: ReadonlyMap<string, Blueprint>;

  /** @throws KasminaError `invalid_argument` where two share an id */
  constructor(blueprints: readonly Blueprint[]) {
    this.#blueprints = new Map(blueprints.map((blueprint) => [blueprint.id, blueprint]));
    if (this.#blueprints.size !== blueprints.length) {
      throw new KasminaError("invalid_argument", "two blueprints share an id");
    }
  }

  get ids(): readonly string[] {
    return [...this.#blueprints.keys()];
  }

  /** In the order in which they were given. */
  get all(): readonly Blueprint[] {
    return [...this.#blueprints.values()];
  }

  find(id: string): Blueprint | undefined {
    return this.#blueprints.get(id);
  }

  /** @throws KasminaError `invalid_argument` for an unknown id */
  get(id: string): Blueprint {
    const blueprint = this.find(id);
    if (!blueprint)
      throw new KasminaError("invalid_argument", `unknown blueprint ${id}; known: ${this.ids.join(", ")}`);
    return blueprint;
  }
}

/**
 * The blueprints that come with Kasmina: `blueprints: [...builtins, mine]` adds one of your own.
 *
 * @example
 * ```ts
 * import { builtins, grow } from "kasmina";
 *
 * await grow({ data: "spirals", blueprints: builtins.filter(({ id }) => id !== "low-rank") });
 * ```
 */
export const builtins: readonly Blueprint[] = [
  mlpResidual,
  lowRank,
  convResidual,
  squeezeExcite,
  attentionResidual,
  hostBlock,
];

export const builtinBlueprints = new BlueprintRegistry(builtins);
