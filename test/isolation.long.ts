/** A long clean run: three seeds in different stages, and a host that is never disturbed. */
import { beforeAll, describe, expect, test } from "vitest";
import { makeSpirals } from "../src/data/index.js";
import { type Backend, openBackend } from "../src/engine/index.js";
import { parseConfig } from "../src/kasmina/index.js";
import { builtinBlueprints, resmlp } from "../src/nn/index.js";
import { eventsOf, gaugeOf, runScript, type ScriptedSeed } from "./support/scripted-growth.js";

const dataset = makeSpirals({ seed: 3, train: 1_000, test: 100 });
const config = parseConfig({
  kernel: { latencyBudgetMs: 600_000 },
  gates: { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 1e6 },
});
const seed = { blueprintId: "mlp-residual", parameters: { hidden: 8 } };
const script: readonly ScriptedSeed[] = [
  { ...seed, seedId: "shadowing", slotId: "block1", until: "SHADOWING" },
  { ...seed, seedId: "blending", slotId: "block2", until: "BLENDING" },
  { ...seed, seedId: "training", slotId: "block3", until: "TRAINING" },
];

describe.each(["native", "wasm"] as const)("2,000 steps with three seeds on %s", (engine) => {
  let backend: Backend;
  beforeAll(async () => {
    ({ backend } = await openBackend(engine, { threads: 1 }));
  });

  test.each(["detach", "flow"] as const)("never a violation, never a leak (%s)", async (hostGradient) => {
    const options = {
      runId: "clean",
      host: resmlp({ ...dataset, width: 8, depth: 3 }),
      dataset,
      backend,
      epochs: 100,
      batch: 40,
      blueprints: builtinBlueprints,
      config,
      hostGradient,
    };
    const { result, error, packets } = await runScript(options, script);
    expect(error).toBeUndefined();
    expect(result?.steps).toBeGreaterThanOrEqual(2_000);
    expect(result?.seeds.map(({ seed: { id, stage } }) => [id, stage])).toEqual([
      ["shadowing", "SHADOWING"],
      ["blending", "BLENDING"],
      ["training", "TRAINING"],
    ]);
    expect(result?.isolation).toEqual({ violations: 0, maxLeakRatio: 0, maxCosine: 0 });
    expect(eventsOf(packets, "violation_recorded")).toEqual([]);
    for (const { seedId } of script) {
      const ratios = gaugeOf(packets, seedId, "kasmina.seed.isolation.leak_ratio");
      expect(ratios.length).toBeGreaterThan(35);
      expect(new Set(ratios)).toEqual(new Set([0]));
    }
  });
});
