import { expect, test } from "vitest";
import type { SeedPart } from "../contracts/index.js";
import { trace } from "../engine/index.js";
import type { Topology } from "../network/index.js";
import { builtinBlueprints, resmlp } from "../nn/index.js";
import { OPTIMIZERS } from "./optimizers.js";
import { stepShares } from "./step-shares.js";
import { trainStepProgram } from "./train-step.js";

const host = resmlp({ inputShape: [2], classes: 2, width: 8 });

function topologyOf(parts: Readonly<Record<string, SeedPart>>): Topology {
  const sites = Object.entries(parts).map(([seedId, part]) => ({
    seedId,
    part,
    slotId: "block1",
    blueprint: builtinBlueprints.get("mlp-residual"),
    parameters: { hidden: seedId === "small" ? 2 : 64 },
  }));
  return { host, sites, hostGradient: "detach" };
}

const flopsOf = async (topology: Topology): Promise<number> =>
  trace(trainStepProgram(topology, OPTIMIZERS.adam, 8)).flops;

test("a seed's share is what the step would lose without it, once it is kept", async () => {
  const [alone, kept] = [await flopsOf(topologyOf({})), await flopsOf(topologyOf({ large: "grown" }))];
  const expected = { large: (kept - alone) / kept };
  for (const part of ["germinated", "shadow", "blending", "shadowing", "probationary"] as const)
    expect(await stepShares(topologyOf({ large: part }), flopsOf)).toEqual(expected);
});

test("each is counted beside the others as they stand; what is part of the host is not counted", async () => {
  const shares = await stepShares(topologyOf({ small: "shadow", large: "blending" }), flopsOf);
  const share = async (kept: Topology, without: Topology): Promise<number> => {
    const [all, rest] = [await flopsOf(kept), await flopsOf(without)];
    return (all - rest) / all;
  };
  expect(shares).toEqual({
    small: await share(topologyOf({ small: "grown", large: "blending" }), topologyOf({ large: "blending" })),
    large: await share(topologyOf({ small: "shadow", large: "grown" }), topologyOf({ small: "shadow" })),
  });
  expect(shares.small).toBeLessThan(shares.large ?? 0);
  const grown = await stepShares(topologyOf({ small: "shadow", large: "grown" }), flopsOf);
  expect(Object.keys(grown)).toEqual(["small"]);
});
