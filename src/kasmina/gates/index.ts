export { type ArtifactFacts, type G0Inputs, g0Sanity } from "./g0-sanity.js";
export { type G1Inputs, g1GradientHealth } from "./g1-gradient-health.js";
export { type G2Inputs, g2Stability } from "./g2-stability.js";
export { type G3Inputs, g3Interface } from "./g3-interface.js";
export { type G4Inputs, g4SystemImpact } from "./g4-system-impact.js";
export { type G5Inputs, g5Reset } from "./g5-reset.js";
export { GATE_REASONS, type GateReason, type GateResult } from "./gate.js";
