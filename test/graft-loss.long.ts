/** What a graft does to the held-out loss, boundary by boundary, at the same weights (bench/graft-watch.ts). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { GraftWatch } from "../bench/growth/graft-watch.js";
import { judgedBlueprints } from "../bench/growth/judgement-blueprints.js";
import { RememberingTracer } from "../bench/growth/remembering-tracer.js";
import { makeSpirals } from "../src/data/index.js";
import { type Backend, openBackend } from "../src/engine/index.js";
import type { KasminaConfigInput } from "../src/kasmina/index.js";
import { resmlp } from "../src/nn/index.js";
import { PlateauPolicy, type Policy, SchedulePolicy } from "../src/tamiyo/index.js";
import { grow } from "../src/weatherlight/index.js";

const MAX_RISE = 0.005;
const RAMP_STEPS = 20;
const dataset = makeSpirals({ train: 4_000, test: 100 });
const tracer = new RememberingTracer();
let backend: Backend;

beforeAll(async () => {
  ({ backend } = await openBackend("auto", { threads: 1 }));
});

afterAll(() => backend.dispose());

function growWith(policy: Policy, config: KasminaConfigInput, watch?: GraftWatch) {
  return grow({
    runId: "graft",
    host: resmlp(dataset),
    data: dataset,
    blueprints: judgedBlueprints.all,
    engine: watch?.watched(backend) ?? backend,
    ...(watch && { onControl: (control) => watch.follow(control) }),
    tracer,
    epochs: 14,
    batch: 50,
    policy,
    limits: { kernel: { latencyBudgetMs: 60_000 }, ...config },
  });
}

/** As far as the gates let it. */
function growUseful(watch?: GraftWatch) {
  const blueprints = [{ id: "mlp-residual", parameters: { hidden: 32 } }];
  return growWith(new PlateauPolicy({ blueprints, maxSeeds: 1, germinateAtEpoch: 2 }), {}, watch);
}

/** At a set time, and no gate holds it back. */
function growHarmful(watch: GraftWatch) {
  const policy = new SchedulePolicy({
    blueprints: [{ id: "havoc", parameters: {} }],
    at: [0.05],
    maxSeeds: 1,
  });
  const gates = { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 100 };
  return growWith(policy, { gates }, watch);
}

test("a seed that helps raises the loss at no boundary, and the run does not notice that it is watched", async () => {
  const watch = new GraftWatch(dataset, tracer);
  const watched = await growUseful(watch);
  const alone = await growUseful();
  expect(watched.seeds.map(({ stage }) => stage)).toEqual(["FOSSILIZED"]);
  expect([watched.testLoss, watched.flopsTotal]).toEqual([alone.testLoss, alone.flopsTotal]);
  const ramp = watch.steps.filter(({ change }) => change === "alpha");
  const stages = watch.steps.filter(({ change }) => change === "stage");
  expect(ramp).toHaveLength(RAMP_STEPS);
  // Attached, in training, blending, shadowing, in probation, the host's: no stage is in itself a change of what is computed.
  expect(stages).toHaveLength(6);
  for (const { before, after } of stages) expect(after).toBeCloseTo(before, 5);
  expect(watch.unmeasured).toBe(0);
  expect(watch.worstPresence).toBeLessThanOrEqual(MAX_RISE);
});

test("a seed that harms is seen to raise it", async () => {
  const watch = new GraftWatch(dataset, tracer);
  await growHarmful(watch);
  expect(watch.worstRise).toBeGreaterThan(MAX_RISE);
  expect(watch.worstPresence).toBeGreaterThan(MAX_RISE);
});
