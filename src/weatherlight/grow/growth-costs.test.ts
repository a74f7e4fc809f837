import { describe, expect, test } from "vitest";
import { DEFAULT_BLEND, resolveParameters, type SeedPart } from "../../contracts/index.js";
import { makeSpirals } from "../../data/index.js";
import { openBackend, trace } from "../../engine/index.js";
import { parseConfig, type Seed } from "../../kasmina/index.js";
import { monitoredRows, type Topology } from "../../network/index.js";
import { builtinBlueprints, createHost, type Host, resmlp, slotsOf } from "../../nn/index.js";
import { SchedulePolicy } from "../../tamiyo/index.js";
import { definitionsOf, OPTIMIZERS } from "../../tolaria/index.js";
import { CountedCosts } from "./growth-costs.js";
import { trainRun } from "./train-run.js";

const BATCH = 32;
const EVALUATION_BATCH = 64;
const RUN = {
  blueprints: builtinBlueprints,
  optimizer: OPTIMIZERS.adam,
  batch: BATCH,
  evaluationBatch: EVALUATION_BATCH,
  heldOutRows: 100,
  testRows: 64,
  stepsPerEpoch: 30,
  epochs: 10,
  observeEverySteps: 20,
  isolationEverySteps: 50,
  leadSteps: 20,
  seeds: () => [],
};
const STEPS = RUN.stepsPerEpoch * RUN.epochs;
/** Every 20 steps and every 30, twice at once at every 60th; two batches each. */
const EVALUATIONS = 2 * (15 + 10 - 5);

const hosts: readonly Host[] = [
  createHost("resmlp", { inputShape: [28, 28], classes: 10 }),
  createHost("resmlp", { inputShape: [2], classes: 2 }),
  createHost("resconv", { inputShape: [28, 28], classes: 10 }),
  createHost("charlm", { inputShape: [32], inputDType: "int32", classes: 60 }),
];

/** A seed that a run began with. */
function inherited(slotId: string): Seed {
  const kernel = { blueprintId: "low-rank", parameters: {}, sha256: "0".repeat(64), form: "delta" } as const;
  return {
    ...{ id: "inherited-1", slotId, blueprintId: "low-rank", stage: "FOSSILIZED", inherited: true },
    ...{ parameters: resolveParameters(builtinBlueprints.get("low-rank")), blend: DEFAULT_BLEND },
    kernel: { ...kernel, prewarmP50Ms: 1, prewarmP95Ms: 1, fallbackUsed: false },
    ...{ germinationOrder: 0, germinatedAtStep: 0 },
    stats: { gradientNorms: [], losses: [], isolationViolations: 0 },
  };
}

function flopsOf(host: Host, sites: Topology["sites"]) {
  const monitor = { batch: BATCH, rows: monitoredRows(BATCH), coordinates: 4_096 };
  const { train, evaluate, probe } = definitionsOf(
    { host, sites, hostGradient: "detach" },
    { optimizer: RUN.optimizer, trainBatch: BATCH, evaluationBatch: EVALUATION_BATCH, monitor },
  );
  const count = (definition: typeof train): number => trace(definition).flops;
  return { train: count(train), evaluate: count(evaluate), probe: probe ? count(probe) : 0 };
}

describe.each(hosts)("costs on $id $inputShape", (host) => {
  const costs = new CountedCosts({ ...RUN, host });
  const alone = flopsOf(host, []);

  test("of the host alone are those of its programs", () => {
    const test = alone.evaluate;
    expect(costs.hostFlops(Number.POSITIVE_INFINITY)).toBe(
      STEPS * alone.train + EVALUATIONS * alone.evaluate + test,
    );
    expect(costs.hostFlops(20)).toBe(20 * alone.train + 2 * alone.evaluate);
    expect(costs.hostFlops(19)).toBe(19 * alone.train);
  });

  const [slot] = slotsOf(host);
  const fitting = builtinBlueprints.ids.filter(
    (id) => slot && builtinBlueprints.get(id).supports(slot.shape),
  );

  test("of a network that the run began with are those of its programs, its seeds part of the host", () => {
    if (!slot) throw new Error("the host has no slot");
    const blueprint = builtinBlueprints.get("low-rank");
    const begun = inherited(slot.id);
    const network = new CountedCosts({ ...RUN, host, inherited: [begun], seeds: () => [begun] });
    const site = { seedId: begun.id, slotId: slot.id, blueprint, part: "grown" } as const;
    const programs = flopsOf(host, [{ ...site, parameters: resolveParameters(blueprint) }]);
    expect(network.hostFlops(20)).toBe(20 * programs.train + 2 * programs.evaluate);
    const arm = { slotId: slot.id, candidate: { id: "low-rank", parameters: {} } };
    const { inherited: _, ...own } = begun;
    const fossilized = new CountedCosts({ ...RUN, host, seeds: () => [own] });
    const [rest, all] = [network, fossilized].map(
      (costed) => costed.of(arm, { step: 0 }, 10)?.flopsToTheEnd ?? 0,
    );
    // Of this run's own the whole seed is growth; of one that it began with nothing is.
    expect(rest).toBeLessThan(all ?? 0);
  });

  test.each(fitting)("of %s are never less than what its programs take", (id) => {
    if (!slot) throw new Error("the host has no slot");
    const blueprint = builtinBlueprints.get(id);
    const bound = costs.of(
      { slotId: slot.id, candidate: { id, parameters: {} } },
      { step: 0 },
      1e9,
    )?.flopsToTheEnd;
    const parts: readonly SeedPart[] = ["germinated", "shadow", "blending", "probationary", "grown"];
    const worst = parts.map((part) => {
      const site = {
        seedId: "s",
        slotId: slot.id,
        blueprint,
        parameters: resolveParameters(blueprint),
        part,
      };
      const { train, evaluate, probe } = flopsOf(host, [site]);
      const looks = Math.ceil(STEPS / RUN.isolationEverySteps);
      return STEPS * (train - alone.train) + (EVALUATIONS + 1) * (evaluate - alone.evaluate) + looks * probe;
    });
    expect(bound).toBeGreaterThanOrEqual(Math.max(...worst));
    expect(bound).toBeLessThan(8 * Math.max(...worst) + 2 * STEPS * alone.train);
  });
});

test("what does not fit a slot has no cost", () => {
  const [host] = hosts as [Host];
  const costs = new CountedCosts({ ...RUN, host });
  const candidate = { id: "conv-residual", parameters: {} };
  expect(costs.of({ slotId: "block1", candidate }, { step: 0 }, 8)).toBeUndefined();
});

test("a run with budgets stays within them, and one that cannot afford a seed grows none", async () => {
  const { backend } = await openBackend("auto", { threads: 1 });
  const dataset = makeSpirals({ train: 400, test: 100 });
  const host = resmlp({ ...dataset, width: 8 });
  const runWith = (flops: `${number}%`) =>
    trainRun({
      runId: "budget",
      host,
      dataset,
      backend,
      epochs: 30,
      batch: 40,
      policy: new SchedulePolicy({
        blueprints: [{ id: "mlp-residual", parameters: { hidden: 16 } }],
        at: [0.05, 0.5],
        training: 4,
        budget: { flops, parameters: 400 },
      }),
      config: parseConfig({
        kernel: { latencyBudgetMs: 600_000 },
        embargoMs: 200,
        gates: { confidence: 0, minShadowGain: -1, minContribution: -1 },
      }),
    });
  const generous = await runWith("400%");
  const poor = await runWith("50%");
  const alone = poor.flopsTotal;
  expect(poor.seeds).toEqual([]);
  expect(generous.seeds.map(({ seed }) => seed.stage)).toEqual(["FOSSILIZED"]);
  expect(generous.paramsTotal - generous.paramsHost).toBeLessThanOrEqual(400);
  expect(generous.flopsTotal - alone).toBeLessThanOrEqual(4 * alone);
  await backend.dispose();
});
