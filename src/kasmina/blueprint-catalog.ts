/** What Kasmina asks of the blueprints: find one by id. `BlueprintRegistry` of `nn` is one. */
import type { Blueprint } from "../nn/blueprint.js";

export interface BlueprintCatalog {
  find(id: string): Blueprint | undefined;
}
