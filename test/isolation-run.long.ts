/** Isolation in whole runs: what the proof and the monitor do about a seed that leaks on purpose, and about clean ones. */
import { beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../src/base/index.js";
import { type BlendConfig, DEFAULT_BLEND } from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import { type Backend, openBackend, trace } from "../src/engine/index.js";
import { type KasminaConfigInput, parseConfig } from "../src/kasmina/index.js";
import { openHole } from "../src/network/isolation/leaks.fixture.js";
import { BlueprintRegistry, builtinBlueprints, mlpResidual, resmlp } from "../src/nn/index.js";
import { definitionsOf, type TopologyTracer } from "../src/tolaria/index.js";
import type { RunSetup } from "../src/weatherlight/grow/run-setup.js";
import { eventsOf, gaugeOf, runScript, type ScriptedSeed } from "./support/scripted-growth.js";

const dataset = makeSpirals({ seed: 3, train: 600, test: 100 });

/** Gates that let every seed through: it is isolation that is tested. */
function configOf(isolation: KasminaConfigInput["isolation"] = {}) {
  return parseConfig({
    kernel: { latencyBudgetMs: 600_000 },
    leadSteps: 2,
    gates: { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 1e6 },
    isolation: { everySteps: 5, ...isolation },
  });
}

/** Traces without proving anything. */
const unproving: TopologyTracer = {
  trace: async (topology, options) => {
    const { train, evaluate, probe } = definitionsOf(topology, options);
    return {
      train: trace(train),
      evaluate: trace(evaluate),
      probe: probe && trace(probe),
      proof: { proven: true, claims: [] },
    };
  },
};

let backend: Backend;
beforeAll(async () => {
  ({ backend } = await openBackend("auto", { threads: 1 }));
});

/** The leaking seed beside two honest ones, one blended below it and one that trains. */
function setup(leak: "undetached" | "sharing"): {
  options: Omit<RunSetup, "policy">;
  script: ScriptedSeed[];
} {
  const hole = openHole({ ...dataset, width: 8 });
  const options = {
    runId: "leaks",
    host: hole.host,
    dataset,
    backend,
    epochs: 12,
    batch: 60,
    seed: 5,
    blueprints: new BlueprintRegistry([hole.honest, hole[leak]]),
    config: configOf(),
  };
  const script: ScriptedSeed[] = [
    { seedId: "below", slotId: "block1", blueprintId: "honest", until: "SHADOWING" },
    { seedId: "leaking", slotId: "block2", blueprintId: leak, until: "BLENDING" },
    { seedId: "training", slotId: "block2", blueprintId: "honest", until: "TRAINING" },
  ];
  return { options, script };
}

describe.each(["undetached", "sharing"] as const)("a seed whose blueprint is %s", (leak) => {
  test("is refused by the proof: reported at once, never installed, culled; the others go on", async () => {
    const { options, script } = setup(leak);
    const { result, packets } = await runScript(options, script);
    const [unproven, ...more] = eventsOf(packets, "isolation_unproven");
    expect(more).toEqual([]);
    expect(unproven).toMatchObject({
      level: "CRITICAL",
      route: "emergency",
      seedId: "leaking",
      attributes: { seed_id: "leaking", blueprint_id: leak, slot_id: "block2", stage: "BLENDING" },
    });
    expect(unproven?.attributes.message).toContain("its branch passes a gradient to host/");
    const stages = Object.fromEntries(result?.seeds.map(({ seed }) => [seed.id, seed.stage]) ?? []);
    expect(stages).toMatchObject({ below: "SHADOWING", training: "TRAINING" });
    expect(["CULLED", "EMBARGOED", "RESETTING", "DORMANT"]).toContain(stages.leaking);
    expect(gaugeOf(packets, "leaking", "kasmina.blend.alpha_mean")).toEqual([]);
    expect(result?.isolation).toEqual({ violations: 0, maxLeakRatio: 0, maxCosine: 0 });
  });

  test("is seen by the monitor where nothing is proven: its own breaker opens, and only its own", async () => {
    const { options, script } = setup(leak);
    const { result, packets } = await runScript({ ...options, tracer: unproving }, script);
    const violations = eventsOf(packets, "violation_recorded");
    expect(violations.map(({ seedId }) => seedId)).toEqual(["leaking", "leaking", "leaking"]);
    for (const { attributes } of violations) {
      expect(attributes.leak_ratio).toBeGreaterThan(1e-6);
      if (leak === "undetached") expect(attributes.cosine).toBeGreaterThan(0.999);
      else expect(Math.abs(Number(attributes.cosine))).toBeGreaterThan(0.01);
    }
    expect(eventsOf(packets, "isolation_breaker")).toEqual([
      expect.objectContaining({ level: "CRITICAL", seedId: "leaking", route: "emergency" }),
    ]);
    const firstViolation = Number(violations[0]?.step);
    const [rollback, ...more] = eventsOf(packets, "rollback_restored").map(({ attributes }) => attributes);
    expect(more).toEqual([]);
    expect(rollback).toMatchObject({ cause: "isolation_breaker", source: "memory", culled: "leaking" });
    // What the run returns to was kept before anything leaked.
    expect(Number(rollback?.restored_step)).toBeLessThan(firstViolation);
    const stages = Object.fromEntries(result?.seeds.map(({ seed }) => [seed.id, seed.stage]) ?? []);
    expect(stages).toMatchObject({ below: "SHADOWING", training: "TRAINING" });
    expect(["EMBARGOED", "RESETTING", "DORMANT"]).toContain(stages.leaking);
    for (const honest of ["below", "training"]) {
      const ratios = gaugeOf(packets, honest, "kasmina.seed.isolation.leak_ratio");
      expect(ratios.length).toBeGreaterThan(10);
      expect(new Set(ratios)).toEqual(new Set([0]));
    }
    expect(result?.isolation.violations).toBe(3);
  });
});

test("a violation ends the run with failFast, after its telemetry", async () => {
  const { options, script } = setup("undetached");
  const failing = { ...options, tracer: unproving, config: configOf({ failFast: true }) };
  const { error, packets } = await runScript(failing, script);
  expect(error).toBeInstanceOf(KasminaError);
  expect(error).toMatchObject({
    code: "isolation",
    message: expect.stringContaining("seed leaking leaks"),
  });
  expect(eventsOf(packets, "violation_recorded")).toEqual([expect.objectContaining({ seedId: "leaking" })]);
});

describe("confidence", () => {
  async function alphas(confidenceLogits: readonly number[]) {
    const blend: BlendConfig = { ...DEFAULT_BLEND, mode: "CONFIDENCE", confidenceLogits };
    const options = {
      runId: "confidence",
      host: resmlp({ ...dataset, width: 8 }),
      dataset,
      backend,
      epochs: 8,
      batch: 60,
      seed: 5,
      blueprints: builtinBlueprints,
      config: configOf(),
    };
    const seed = { seedId: "s1", slotId: "block1", blueprintId: mlpResidual.id, parameters: { hidden: 8 } };
    const { result, packets, error } = await runScript(options, [{ ...seed, until: "BLENDING", blend }]);
    return { result, packets, error, alphas: gaugeOf(packets, "s1", "kasmina.blend.alpha_mean") };
  }

  test("holds alpha down at a low margin and lets it rise at a high one, on a real run", async () => {
    const low = await alphas([1, 1]);
    const high = await alphas([4, 1]);
    for (const { alphas: ramp } of [low, high]) {
      expect(ramp.length).toBeGreaterThan(25);
      expect(ramp[0]).toBe(0);
    }
    const held = 1 / (1 + Math.exp(4 * 0.2));
    expect(low.alphas.at(-1)).toBeCloseTo(held, 6);
    expect(high.alphas.at(-1)).toBeGreaterThan(0.99);
    expect(gaugeOf(low.packets, "s1", "kasmina.blend.gate_mean").at(-1)).toBeCloseTo(held, 6);
    const [metric] = low.packets
      .flatMap(({ metrics }) => metrics)
      .filter(({ name }) => name === "kasmina.blend.alpha_p95");
    expect(metric?.labels).toEqual({ mode: "CONFIDENCE", source: "confidence_logits" });
  });

  test("is refused without logits, and the seed stays where it was", async () => {
    const { result, packets, alphas: ramp } = await alphas([]);
    expect(eventsOf(packets, "blend_config")[0]).toMatchObject({
      attributes: { reason: "blend_invalid", field: "confidence_logits" },
    });
    expect(result?.seeds[0]?.seed.stage).toBe("TRAINING");
    expect(ramp).toEqual([]);
  });
});
