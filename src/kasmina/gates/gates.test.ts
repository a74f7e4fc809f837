import { describe, expect, test } from "vitest";
import { describedBlueprints } from "../blueprints.fixture.js";
import {
  GATE_REASONS,
  type GateResult,
  g0Sanity,
  g1GradientHealth,
  g2Stability,
  g3Interface,
  g4SystemImpact,
  g5Reset,
} from "./index.js";

const SHA = "0123456789abcdef".repeat(4);
const G0 = {
  stage: "DORMANT" as const,
  fallbackUsed: false,
  blueprintId: "mlp-residual",
  blueprint: describedBlueprints.get("mlp-residual"),
  parameters: {},
  slotId: "block1",
  slotShape: [8],
};
const G1 = {
  stage: "GERMINATED" as const,
  fallbackUsed: false,
  kernelAttached: true,
  isolationViolations: 0,
  gradientNorms: [0.1],
  silentGradientNorm: 1e-12,
};
const GOOD = { latencyP95Ms: 10, latencyBudgetMs: 10, stepShare: 0.2, stepShareBudget: 0.2 };
const G2 = {
  stage: "TRAINING" as const,
  fallbackUsed: false,
  performance: GOOD,
  losses: [2, 2, 1, 1],
  divergenceRatio: 2,
  shadowGain: { value: 0.1, stdErr: 0.05 },
  minShadowGain: 0,
  confidence: 1,
};
const G3 = {
  stage: "BLENDING" as const,
  fallbackUsed: false,
  seedId: "s1",
  slotId: "block1",
  topology: { slots: { block1: [8] }, seeds: { s1: { slotId: "block1", outputShape: [8] } } },
  alphaStepsDone: 20,
  alphaSteps: 20,
};
const G4 = {
  stage: "SHADOWING" as const,
  fallbackUsed: false,
  performance: GOOD,
  isolationViolations: 0,
  contribution: { value: 0.1, stdErr: 0.05 },
  minContribution: 0,
  confidence: 1,
};
const G5 = { stage: "RESETTING" as const, fallbackUsed: false, residue: [] };

const nan = Number.NaN;
const infinite = Number.POSITIVE_INFINITY;
const hidden = Object.keys(G0.blueprint.bounds)[0] ?? "";
const topology = (changes: object) => ({ ...G3, topology: { ...G3.topology, ...changes } });

const FAILURES: readonly [string, string, GateResult][] = [
  ["missing_blueprint", "blank", g0Sanity({ ...G0, blueprintId: " " })],
  ["unknown_blueprint", "not in the catalog", g0Sanity({ ...G0, blueprintId: "x", blueprint: undefined })],
  ["parameter_invalid", "NaN", g0Sanity({ ...G0, parameters: { [hidden]: nan } })],
  ["parameter_invalid", "infinite", g0Sanity({ ...G0, parameters: { [hidden]: infinite } })],
  ["parameter_invalid", "out of bounds", g0Sanity({ ...G0, parameters: { [hidden]: 1e9 } })],
  ["parameter_invalid", "unknown", g0Sanity({ ...G0, parameters: { __proto__x: 1 } })],
  ["parameter_invalid", "twice", g0Sanity({ ...G0, repeatedParameters: [hidden] })],
  [
    "artifact_mismatch",
    "another digest",
    g0Sanity({
      ...G0,
      artifact: { blueprintId: G0.blueprintId, sha256: SHA, expectedSha256: "b".repeat(64) },
    }),
  ],
  [
    "artifact_mismatch",
    "no digest",
    g0Sanity({ ...G0, artifact: { blueprintId: G0.blueprintId, sha256: "" } }),
  ],
  [
    "artifact_mismatch",
    "another blueprint",
    g0Sanity({ ...G0, artifact: { blueprintId: "low-rank", sha256: SHA } }),
  ],
  ["slot_closed", "slot", g0Sanity({ ...G0, closure: { what: "slot", untilStep: 9 } })],
  ["slot_closed", "blueprint", g0Sanity({ ...G0, closure: { what: "blueprint", untilStep: 9 } })],
  ["slot_shape", "no such slot", g0Sanity({ ...G0, slotShape: undefined })],
  [
    "slot_shape",
    "no fit",
    g0Sanity({ ...G0, blueprintId: "conv-residual", blueprint: describedBlueprints.get("conv-residual") }),
  ],
  ["kernel_not_attached", "", g1GradientHealth({ ...G1, kernelAttached: false })],
  ["isolation_violations", "G1", g1GradientHealth({ ...G1, isolationViolations: 1 })],
  ["gradient_not_finite", "NaN", g1GradientHealth({ ...G1, gradientNorms: [1, nan, 1] })],
  ["gradient_not_finite", "infinite", g1GradientHealth({ ...G1, gradientNorms: [infinite] })],
  ["gradient_silent", "zero", g1GradientHealth({ ...G1, gradientNorms: [0, 0] })],
  ["gradient_silent", "not measured", g1GradientHealth({ ...G1, gradientNorms: [] })],
  ["latency_budget_exceeded", "over", g2Stability({ ...G2, performance: { ...GOOD, latencyP95Ms: 10.1 } })],
  ["latency_budget_exceeded", "NaN", g2Stability({ ...G2, performance: { ...GOOD, latencyP95Ms: nan } })],
  ["performance_status", "G2, share", g2Stability({ ...G2, performance: { ...GOOD, stepShare: 0.21 } })],
  [
    "performance_status",
    "G2, share not counted",
    g2Stability({ ...G2, performance: { ...GOOD, stepShare: undefined } }),
  ],
  ["loss_diverging", "rising", g2Stability({ ...G2, losses: [1, 1, 2, 2.1] })],
  ["loss_diverging", "NaN", g2Stability({ ...G2, losses: [1, nan, 1, 1] })],
  ["loss_diverging", "infinite", g2Stability({ ...G2, losses: [infinite] })],
  ["no_shadow_gain", "not measured", g2Stability({ ...G2, shadowGain: undefined })],
  ["no_shadow_gain", "within the noise", g2Stability({ ...G2, shadowGain: { value: 0.1, stdErr: 0.1 } })],
  ["no_shadow_gain", "NaN", g2Stability({ ...G2, shadowGain: { value: nan, stdErr: 0 } })],
  ["no_shadow_gain", "infinite", g2Stability({ ...G2, shadowGain: { value: infinite, stdErr: 0 } })],
  ["host_not_registered", "", g3Interface({ ...G3, topology: undefined })],
  ["slot_not_covered", "no slot", g3Interface(topology({ slots: {} }))],
  ["slot_not_covered", "no seed", g3Interface(topology({ seeds: {} }))],
  [
    "slot_not_covered",
    "elsewhere",
    g3Interface(topology({ seeds: { s1: { slotId: "block2", outputShape: [8] } } })),
  ],
  ["output_shape", "", g3Interface(topology({ seeds: { s1: { slotId: "block1", outputShape: [9] } } }))],
  ["alpha_incomplete", "", g3Interface({ ...G3, alphaStepsDone: 19 })],
  [
    "performance_status",
    "G4, latency",
    g4SystemImpact({ ...G4, performance: { ...GOOD, latencyP95Ms: 10.1 } }),
  ],
  [
    "performance_status",
    "G4, no kernel",
    g4SystemImpact({ ...G4, performance: { ...GOOD, latencyP95Ms: nan } }),
  ],
  ["performance_status", "G4, share", g4SystemImpact({ ...G4, performance: { ...GOOD, stepShare: nan } })],
  ["isolation_violations", "G4", g4SystemImpact({ ...G4, isolationViolations: 2 })],
  [
    "contribution_below_threshold",
    "low",
    g4SystemImpact({ ...G4, contribution: { value: 0.05, stdErr: 0.05 } }),
  ],
  ["contribution_below_threshold", "not measured", g4SystemImpact({ ...G4, contribution: undefined })],
  ["residue", "", g5Reset({ ...G5, residue: ["seed/s1/up/w"] })],
  ["stage_mismatch", "G0", g0Sanity({ ...G0, expectedStage: "TRAINING" })],
  ["stage_mismatch", "G1", g1GradientHealth({ ...G1, expectedStage: "TRAINING" })],
  ["stage_mismatch", "G2", g2Stability({ ...G2, expectedStage: "BLENDING" })],
  ["stage_mismatch", "G3", g3Interface({ ...G3, expectedStage: "TRAINING" })],
  ["stage_mismatch", "G4", g4SystemImpact({ ...G4, expectedStage: "TRAINING" })],
  ["stage_mismatch", "G5", g5Reset({ ...G5, expectedStage: "DORMANT" })],
  ["fallback_kernel_used", "G0", g0Sanity({ ...G0, fallbackUsed: true })],
  ["fallback_kernel_used", "G1", g1GradientHealth({ ...G1, fallbackUsed: true })],
  ["fallback_kernel_used", "G2", g2Stability({ ...G2, fallbackUsed: true })],
  ["fallback_kernel_used", "G3", g3Interface({ ...G3, fallbackUsed: true })],
  ["fallback_kernel_used", "G4", g4SystemImpact({ ...G4, fallbackUsed: true })],
  ["fallback_kernel_used", "G5", g5Reset({ ...G5, fallbackUsed: true })],
];

describe("gates", () => {
  test("pass where nothing is wrong", () => {
    const results = [
      g0Sanity(G0),
      g1GradientHealth(G1),
      g2Stability(G2),
      g3Interface(G3),
      g4SystemImpact(G4),
      g5Reset(G5),
    ];
    expect(results.map(({ passed }) => passed)).toEqual([true, true, true, true, true, true]);
    expect(results.map(({ gate }) => gate.slice(0, 2))).toEqual(["G0", "G1", "G2", "G3", "G4", "G5"]);
  });

  test.each(FAILURES)("fail with %s (%s)", (reason, _, result) => {
    expect(result).toMatchObject({ passed: false, reason });
  });

  test("the table has every reason of the closed set", () => {
    expect(new Set(FAILURES.map(([reason]) => reason))).toEqual(new Set(GATE_REASONS));
  });

  test("change nothing that they are given", () => {
    const inputs = structuredClone(G2);
    g2Stability(inputs);
    expect(inputs).toEqual(G2);
  });
});
