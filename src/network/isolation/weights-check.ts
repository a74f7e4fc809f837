/** Shows in a traced forward pass that blend weights come from outside: no activation has a part in them. */
import { hostWeightControl, seedWeightControl } from "../../contracts/index.js";
import type { Atom, Equation, TracedProgram } from "../../engine/index.js";
import type { SeedSite } from "../topology.js";
import { seamInput, seamKernel } from "./branches.js";

/** What only changes how a value is looked at. */
const VIEWS: ReadonlySet<string> = new Set(["reshape", "broadcast", "transpose", "stop_gradient"]);
/** What the blend itself may do to k or h before the weight. */
const SUMS: ReadonlySet<string> = new Set([...VIEWS, "add", "neg"]);

type Branches = Pick<TracedProgram, "inputs" | "outputs" | "ir">;

/** Why the weights of a blended seed are not free of activations: the primitive that stands in the way. */
export interface WeightProblem {
  readonly control: string;
  readonly primitive: string;
}

/**
 * Undefined where each weight of `site` is a control input per channel whose every use, in the program of
 * `branchProgram`, is a product with the seed's k (or, for the host's weight, with h) and with nothing else.
 */
export function weightProblem(branches: Branches, site: SeedSite): WeightProblem | undefined {
  const k = outputAtom(branches, seamKernel(site));
  const h = outputAtom(branches, seamInput(site));
  return (
    checkWeight(branches, seedWeightControl(site), [k]) ?? checkWeight(branches, hostWeightControl(site), [h])
  );
}

function checkWeight(
  branches: Branches,
  control: string,
  weighed: readonly (Atom | undefined)[],
): WeightProblem | undefined {
  const index = branches.inputs.findIndex(({ role, name }) => role === "controls" && name === control);
  const input = branches.ir.inputs[index];
  if (!input) return undefined;
  if (input.shape.length !== 1) return { control, primitive: "input" };
  const { equations } = branches.ir;
  const weights = grow(equations, [input], VIEWS);
  const partners = grow(equations, weighed, SUMS);
  const misuse = equations.find(
    ({ primitive, inputs }) =>
      inputs.some((atom) => holds(weights, atom)) &&
      !VIEWS.has(primitive) &&
      !(primitive === "mul" && inputs.some((atom) => holds(partners, atom))),
  );
  return misuse && { control, primitive: misuse.primitive };
}

function outputAtom(traced: Branches, name: string): Atom | undefined {
  return traced.ir.outputs[traced.outputs.findIndex((output) => output.name === name)];
}

/** The given values and all that the allowed primitives alone make of them. */
function grow(
  equations: readonly Equation[],
  start: readonly (Atom | undefined)[],
  allowed: ReadonlySet<string>,
): ReadonlySet<number> {
  const ids = new Set(start.flatMap((atom) => (atom?.kind === "variable" ? [atom.id] : [])));
  for (const { primitive, inputs, outputs } of equations) {
    if (!allowed.has(primitive) || !inputs.some((atom) => holds(ids, atom))) continue;
    for (const output of outputs) ids.add(output.id);
  }
  return ids;
}

function holds(ids: ReadonlySet<number>, atom: Atom): boolean {
  return atom.kind === "variable" && ids.has(atom.id);
}
