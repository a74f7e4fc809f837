export { PlateauPolicy, type PlateauPolicyOptions } from "./plateau-policy.js";
export type { Candidate, Decision, Policy, SeedAdvance } from "./policy.js";
export { Tamiyo, type TamiyoOptions } from "./tamiyo.js";
