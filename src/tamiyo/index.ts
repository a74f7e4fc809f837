export {
  RandomPolicy,
  type RandomPolicyOptions,
  SchedulePolicy,
  type SchedulePolicyOptions,
} from "./baseline-policies.js";
export type { Amount, Budget } from "./budget.js";
export { GrowthPolicy, type GrowthPolicyOptions, type Strategy, type Trial } from "./growth-policy.js";
export type { InputHealth } from "./inputs.js";
export { PlateauPolicy, type PlateauPolicyOptions } from "./plateau-policy.js";
export type {
  Arm,
  ArmCost,
  Candidate,
  Decision,
  DecisionContext,
  GrowthCosts,
  Policy,
} from "./policy.js";
export { RemotePolicy } from "./remote-policy.js";
export { Tamiyo, type TamiyoOptions } from "./tamiyo.js";
