/** Which values of a program can be changed by some of its inputs: a forward walk that keeps how each was reached. */
import type { Atom, Equation, Ir, Primitive } from "../../engine/index.js";

export interface Reach {
  has(atom: Atom): boolean;
  /** The primitives on one way to a reached value, in order; empty for a source itself. */
  pathTo(atom: Atom): readonly Primitive[];
  /** The source at the start of that way: a variable id. */
  sourceOf(atom: Atom): number | undefined;
}

interface Arrival {
  readonly equation?: Equation;
  /** The variable it came from; its own id for a source. */
  readonly from: number;
}

/**
 * Everything that may depend on the variables `sources`. With `stopAt`, values are not followed through
 * equations of that primitive: with "stop_gradient", only what a gradient could take back is reached.
 */
export function reachFrom(ir: Ir, sources: Iterable<number>, stopAt?: Primitive): Reach {
  const arrivals = new Map<number, Arrival>();
  for (const id of sources) arrivals.set(id, { from: id });
  for (const equation of ir.equations) {
    if (equation.primitive === stopAt) continue;
    const from = equation.inputs.find((atom) => atom.kind === "variable" && arrivals.has(atom.id));
    if (from?.kind !== "variable") continue;
    for (const output of equation.outputs) arrivals.set(output.id, { equation, from: from.id });
  }
  return new WalkedReach(arrivals);
}

class WalkedReach implements Reach {
  readonly #arrivals: ReadonlyMap<number, Arrival>;

  constructor(arrivals: ReadonlyMap<number, Arrival>) {
    this.#arrivals = arrivals;
  }

  has(atom: Atom): boolean {
    return atom.kind === "variable" && this.#arrivals.has(atom.id);
  }

  pathTo(atom: Atom): Primitive[] {
    return this.#wayBack(atom).flatMap(({ equation }) => (equation ? [equation.primitive] : []));
  }

  sourceOf(atom: Atom): number | undefined {
    return this.#wayBack(atom)[0]?.from;
  }

  /** Arrivals from the source to the atom. */
  #wayBack(atom: Atom): Arrival[] {
    const way: Arrival[] = [];
    let arrival = atom.kind === "variable" ? this.#arrivals.get(atom.id) : undefined;
    while (arrival) {
      way.unshift(arrival);
      arrival = arrival.equation && this.#arrivals.get(arrival.from);
    }
    return way;
  }
}
