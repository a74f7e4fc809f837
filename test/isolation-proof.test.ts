import { describe, expect, test } from "vitest";
import type { SeedPart } from "../src/contracts/index.js";
import { type Arrays, type TracedProgram, trace, type UpdateTarget } from "../src/engine/index.js";
import { proveIsolation, type SeedSite, type Topology } from "../src/network/index.js";
import { branchProgram } from "../src/network/isolation/branches.js";
import { openHole } from "../src/network/isolation/leaks.fixture.js";
import { weightProblem } from "../src/network/isolation/weights-check.js";
import { type Blueprint, convResidual, mlpResidual, resconv, resmlp } from "../src/nn/index.js";
import { OPTIMIZERS } from "../src/tolaria/optimizers.js";
import { trainStepProgram } from "../src/tolaria/train-step.js";

const host = resmlp({ inputShape: [6], classes: 3, width: 5 });
const PARTS: readonly SeedPart[] = ["shadow", "blending", "shadowing", "probationary", "grown"];

function site(
  part: SeedPart,
  seedId = "s1",
  slotId = "block1",
  blueprint: Blueprint = mlpResidual,
): SeedSite {
  return { seedId, slotId, part, blueprint, parameters: blueprint === mlpResidual ? { hidden: 4 } : {} };
}

function topologyOf(...sites: SeedSite[]): Topology {
  return { host, sites, hostGradient: "detach" };
}

function step(topology: Topology): TracedProgram {
  return trace(trainStepProgram(topology, OPTIMIZERS.adamw, 4));
}

function proveStep(traced: TracedProgram, topology: Topology) {
  return proveIsolation(traced, topology, traced.definition.update);
}

function prove(topology: Topology) {
  return proveStep(step(topology), topology);
}

describe("the proof holds for what the runtime builds", () => {
  const pairs = PARTS.flatMap((first) => PARTS.map((second) => [first, second] as const));

  test.each(pairs)("%s in block1, %s in block2", (first, second) => {
    expect(prove(topologyOf(site(first, "s1"), site(second, "s2", "block2")))).toMatchObject({
      proven: true,
    });
  });

  test.each(pairs)("%s and then %s in one slot", (first, second) => {
    expect(prove(topologyOf(site(first, "s1"), site(second, "s2")))).toMatchObject({ proven: true });
  });

  test("in a convolutional host, with a squeezing seed", () => {
    const conv = resconv({ inputShape: [8, 8, 1], classes: 3, channels: 4 });
    const seed = { ...site("blending", "s1", "block1", convResidual), parameters: { channels: 3 } };
    expect(prove({ host: conv, sites: [seed], hostGradient: "detach" })).toMatchObject({ proven: true });
  });

  test("and says what it shows of each seed", () => {
    const sites = [site("shadow", "s1"), site("blending", "s2"), site("shadowing", "s3", "block2")];
    const detached = { proven: true, claims: [{}, { claim: "host_below_free_of_seed" }, {}] };
    expect(prove(topologyOf(...sites))).toMatchObject(detached);
    expect(prove({ ...topologyOf(...sites), hostGradient: "flow" })).toEqual({
      proven: true,
      claims: [
        { seedId: "s1", claim: "host_free_of_seed" },
        { seedId: "s2", claim: "branch_detached" },
        { seedId: "s3", claim: "host_below_free_of_seed" },
      ],
    });
  });
});

describe("the proof fails", () => {
  test.each([
    ["shadow", "blending"],
    ["shadow", "probationary"],
    ["blending", "probationary"],
    ["shadowing", "probationary"],
  ] as const)("for a %s seed that the program treats as %s", (claimed, built) => {
    const proof = proveStep(step(topologyOf(site(built))), topologyOf(site(claimed)));
    if (proof.proven) throw new Error("must not be proven");
    expect(proof.seedId).toBe("s1");
    expect(proof.path[0]).toMatch(/^(seed\/s1\/|blend\/s1\/|optimizer\/\w+\/seed\/s1\/)/);
    expect(proof.path.length).toBeGreaterThan(2);
    expect(proof.message).toContain(`seed s1 (mlp-residual in block1, ${claimed}) is not isolated`);
  });

  test("for a step that lets a TRAINING seed's parameter into the host's gradient", () => {
    const topology = topologyOf(site("shadow"));
    const definition = trainStepProgram(topology, OPTIMIZERS.sgd, 4);
    const leaking = trace({
      ...definition,
      run(state, batch, controls) {
        const seen = state["seed/s1/upBias"]?.ref;
        const { gradients = {}, ...rest } = definition.run(state, batch, controls);
        const stem = gradients["host/stem/b"];
        if (!seen || !stem) throw new Error("no such parameter");
        return { ...rest, gradients: { ...gradients, "host/stem/b": stem.add(seen.sum()) } as Arrays };
      },
    });
    expect(proveStep(leaking, topology)).toEqual({
      proven: false,
      seedId: "s1",
      path: ["seed/s1/upBias", "reduce", "add", "host/stem/b"],
      message:
        "seed s1 (mlp-residual in block1, shadow) is not isolated: host/stem/b may depend on seed/s1/upBias: " +
        "seed/s1/upBias → reduce → add → host/stem/b",
    });
  });

  test.each([
    [{ slots: { m: "optimizer/m/seed/s1/up" } }, "optimizer/m/seed/s1/up"],
    [{ count: "optimizer/count/seed/s1" }, "optimizer/count/seed/s1"],
    [{ settings: { lr: "optimizer/s1/lr" } }, "optimizer/s1/lr"],
  ] satisfies [
    Partial<UpdateTarget>,
    string,
  ][])("for an update of the host that takes what is a seed's: %o", (change, taken) => {
    for (const part of ["shadow", "blending", "shadowing"] as const) {
      const topology = topologyOf(site(part));
      const traced = step(topology);
      const { update } = traced.definition;
      const target = update?.targets["host/head/w"];
      if (!update || !target) throw new Error("no such update");
      const targets = { ...update.targets, "host/head/w": { ...target, ...change } };
      expect(proveIsolation(traced, topology, { ...update, targets })).toMatchObject({
        proven: false,
        seedId: "s1",
        path: [taken, "host/head/w"],
      });
    }
  });

  test("for an update of a seed that would change optimizer state of the host", () => {
    const topology = topologyOf(site("shadow"));
    const traced = step(topology);
    const { update } = traced.definition;
    const target = update?.targets["seed/s1/up"];
    if (!update || !target) throw new Error("no such update");
    const slots = { ...target.slots, v: "optimizer/v/host/stem/w" };
    const targets = { ...update.targets, "seed/s1/up": { ...target, slots } };
    expect(proveIsolation(traced, topology, { ...update, targets })).toMatchObject({
      proven: false,
      message: expect.stringContaining("the update of seed/s1/up takes optimizer/v/host/stem/w"),
    });
  });

  test.each([
    "detach",
    "flow",
  ] as const)("for a blueprint that drops the detach or shares a host parameter (%s)", (hostGradient) => {
    const prove = (pick: "honest" | "undetached" | "sharing") => {
      const hole = openHole();
      const sites = [site("shadowing", "s0", "block2"), site("blending", "s1", "block1", hole[pick])];
      const topology: Topology = { host: hole.host, sites, hostGradient };
      return proveStep(step(topology), topology);
    };
    expect(prove("honest")).toMatchObject({ proven: true });
    expect(prove("undetached")).toMatchObject({
      proven: false,
      seedId: "s1",
      message: expect.stringMatching(
        /^seed s1 \(undetached in block1, blending\) is not isolated: its branch passes a gradient to host\/stem\/w: host\/stem\/w → .+ → add → mul → k$/,
      ),
    });
    expect(prove("sharing")).toMatchObject({
      proven: false,
      seedId: "s1",
      message: expect.stringContaining("its branch passes a gradient to host/block1/up"),
    });
  });
});

describe("blend weights are inputs", () => {
  const seed = site("blending");

  test("of every form and stage", () => {
    const replacement: Blueprint = { ...mlpResidual, form: "replacement" };
    for (const blueprint of [mlpResidual, replacement]) {
      for (const part of ["blending", "shadowing", "probationary", "grown"] as const) {
        for (const hostGradient of ["detach", "flow"] as const) {
          const own: SeedSite = { ...seed, part, blueprint };
          const branches = trace(branchProgram({ host, sites: [own], hostGradient }));
          expect(weightProblem(branches, own)).toBeUndefined();
        }
      }
    }
  });

  test("and a weight that an activation enters is found", () => {
    const definition = branchProgram(topologyOf(seed));
    const control = "blend/s1/seed_weight";
    const gated = trace({
      ...definition,
      run(state, batch, controls) {
        const weight = controls[control];
        const x = batch.x?.ref;
        if (!weight || !x) throw new Error("no such input");
        const confidence = x.mean();
        return definition.run(state, batch, { ...controls, [control]: weight.mul(confidence) });
      },
    });
    expect(weightProblem(gated, seed)).toEqual({ control, primitive: "mul" });
  });
});
