import { describe, expect, test } from "vitest";
import { resolveParameters, type SeedPart } from "../contracts/index.js";
import { trace } from "../engine/index.js";
import { builtinBlueprints, resmlp } from "../nn/index.js";
import { evaluationProgram } from "./evaluation.js";
import type { SeedSite } from "./topology.js";

const host = resmlp({ inputShape: [2], classes: 2, width: 4, depth: 1 });
const blueprint = builtinBlueprints.get("mlp-residual");

function siteOf(seedId: string, part: SeedPart): SeedSite {
  return {
    seedId,
    slotId: "block1",
    blueprint,
    parameters: resolveParameters(blueprint, { hidden: 8 }),
    part,
  };
}

function evaluationOf(...sites: readonly SeedSite[]) {
  const { outputs, flops } = trace(evaluationProgram({ host, sites, hostGradient: "detach" }, 16));
  const compared = outputs.flatMap(({ name }) => (name.startsWith("gain/") ? [name.slice(5)] : []));
  return { compared, flops };
}

describe("an evaluation", () => {
  test.each([
    "germinated",
    "shadow",
    "blending",
    "shadowing",
    "probationary",
  ] as const)("compares the network with and without a seed that is %s", (part) =>
    expect(evaluationOf(siteOf("s", part)).compared).toEqual(["s"]));

  test("does not compare what is the host's", () => {
    expect(evaluationOf(siteOf("old", "grown"), siteOf("new", "shadow")).compared).toEqual(["new"]);
  });

  test("pays for no comparison where there is none", () => {
    const alone = evaluationOf().flops;
    const grown = evaluationOf(siteOf("s", "grown")).flops;
    const judged = evaluationOf(siteOf("s", "probationary")).flops;
    expect(grown).toBeGreaterThan(alone);
    expect(judged).toBeGreaterThan(grown);
  });
});
