/** Finds state that no amount of training repairs, by owner, even where it has not reached the loss yet. */
import { nonFinitePaths, seedOf, type Tensors } from "../../contracts/index.js";

/** Whose tensors are not finite: parameters or optimizer state. */
export interface NonFinite {
  readonly host: boolean;
  readonly seedIds: readonly string[];
}

export function nonFiniteIn(tensors: Tensors): NonFinite {
  const owners = nonFinitePaths(tensors).map(seedOf);
  const seedIds = new Set(owners.filter((id) => id !== undefined));
  return { host: owners.includes(undefined), seedIds: [...seedIds] };
}
