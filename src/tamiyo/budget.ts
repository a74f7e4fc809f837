/**
 * What growth may cost. A candidate is affordable where all that is in the network already and all that it could still
 * cost, to the end of the run, stay within what is left: so no course of events can exceed a budget.
 */
import { KasminaError } from "../base/index.js";
import { holdsParameters, type SystemState } from "../contracts/index.js";
import type { ArmCost, GrowthCosts } from "./policy.js";

/** A number of scalars or FLOPs, or a part of the host's: `"50%"`. */
export type Amount = number | `${number}%`;

export interface Budget {
  /** Scalars that seeds may add to the host's. Default: no limit. */
  readonly parameters?: Amount;
  /** FLOPs that growth may add, over the run, to those of the host alone. Default: no limit. */
  readonly flops?: Amount;
}

/** @throws KasminaError `invalid_argument` for anything but a number or a percentage, 0 or more */
export function checkAmount(name: string, amount: Amount): void {
  const value = typeof amount === "number" ? amount : numberOf(amount);
  if (Number.isFinite(value) && value >= 0) return;
  throw new KasminaError(
    "invalid_argument",
    `${name} must be a number or a percentage of the host's, got ${amount}`,
  );
}

/** Why an arm of that cost cannot be afforded now; undefined where it can. Where costs are not known, no budget allows it. */
export function overBudget(
  budget: Budget,
  state: SystemState,
  cost: ArmCost | undefined,
  costs: GrowthCosts | undefined,
): string | undefined {
  if (budget.parameters === undefined && budget.flops === undefined) return undefined;
  if (!costs || !cost) return "what it would cost is not known";
  const scalars =
    state.seeds
      .filter(({ stage }) => holdsParameters(stage))
      .reduce((sum, seed) => sum + seed.parameters, 0) + cost.parameters;
  const maxScalars = resolved(budget.parameters, state.paramsHost);
  if (!(scalars <= maxScalars))
    return `${scalars} parameters of seeds would exceed the budget of ${maxScalars}`;
  const flops = state.flopsTotal - costs.hostFlops(state.step) + cost.flopsToTheEnd;
  const maxFlops = resolved(budget.flops, costs.hostFlops(Number.POSITIVE_INFINITY));
  if (!(flops <= maxFlops)) {
    return `growth could cost ${flops.toExponential(2)} FLOPs, which exceeds the budget of ${maxFlops.toExponential(2)}`;
  }
  return undefined;
}

function resolved(amount: Amount | undefined, ofHost: number): number {
  if (amount === undefined) return Number.POSITIVE_INFINITY;
  return typeof amount === "number" ? amount : (numberOf(amount) / 100) * ofHost;
}

function numberOf(percentage: string): number {
  return /^\d+(\.\d+)?%$/.test(percentage) ? Number(percentage.slice(0, -1)) : Number.NaN;
}
