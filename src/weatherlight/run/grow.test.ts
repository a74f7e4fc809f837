import { describe, expect, test } from "vitest";
import { makeSpirals } from "../../data/index.js";
import { builtins, defineBlock, defineBlueprint, defineHost, resmlp, zeros } from "../../nn/index.js";
import { SchedulePolicy } from "../../tamiyo/index.js";
import { grow } from "./grow.js";
import type { EpochReport, EventReport, GrowOptions, StepReport } from "./grow-options.js";

const data = makeSpirals({ train: 300, test: 60 });
const small: GrowOptions = { data, engine: "wasm", epochs: 2, growth: false };

test("own data alone is enough: the rest has defaults, and callbacks hear of it", async () => {
  const epochs: EpochReport[] = [];
  const steps: StepReport[] = [];
  const notices: string[] = [];
  const { epochs: _, ...options } = small;
  const run = await grow({
    ...options,
    epochs: 1,
    onEpoch: (epoch) => void epochs.push(epoch),
    onStep: (step) => void steps.push(step),
    onNotice: (text) => void notices.push(text),
  });
  expect(run).toMatchObject({
    ended: "finished",
    engine: "wasm",
    host: "resmlp",
    epochs: 1,
    seeds: [],
    steps: 8,
  });
  expect(run.runId).toMatch(/^run-[0-9a-f-]{36}$/);
  expect(epochs).toEqual([
    {
      phase: "grow",
      epoch: 1,
      trainLoss: expect.any(Number),
      valLoss: expect.any(Number),
      valAccuracy: expect.any(Number),
      valScore: { name: "accuracy", value: expect.any(Number) },
    },
  ]);
  expect(steps.at(-1)).toMatchObject({ step: 8, stepsTotal: 8, epoch: 1 });
  expect(notices).toEqual([
    expect.stringMatching(/^engine wasm/),
    expect.stringMatching(/rows to train on, \d+ held out; .* preparing the first step$/),
  ]);
});

test("the same options give the same bits, with the host alone compared beside", async () => {
  const phases = new Set<string>();
  const asked: GrowOptions = {
    ...small,
    growth: true,
    policy: "epoch:1",
    compare: true,
    latencyBudget: 600_000,
  };
  const run = await grow({ ...asked, onEpoch: ({ phase }) => void phases.add(phase) });
  const again = await grow(asked);
  expect([...phases]).toEqual(["grow", "hostAlone"]);
  expect(run.accuracyHostAlone).toBe(again.accuracyHostAlone);
  expect(run.accuracyHostAlone).not.toBeNull();
  expect(again.network.parameters).toEqual(run.network.parameters);
});

test("a signal ends the run, and what was grown is there", async () => {
  const stop = new AbortController();
  const run = await grow({ ...small, signal: stop.signal, onEpoch: () => stop.abort() });
  expect(run).toMatchObject({ ended: "interrupted", accuracy: Number.NaN });
  expect((await run.network.predict([[0, 0]])).labels).toHaveLength(1);
});

test("what a callback throws is what grow rejects with", async () => {
  const onEpoch = (): never => {
    throw new RangeError("mine");
  };
  await expect(grow({ ...small, onEpoch })).rejects.toThrow(new RangeError("mine"));
});

describe("a host that does not fit its data is one clear error", () => {
  test.each([
    [
      resmlp({ inputShape: [2], classes: 1 }),
      "host resmlp does not fit spirals: it tells apart 1 classes, the data has 2",
    ],
    [resmlp({ inputShape: [3], classes: 2 }), "it takes rows of shape [3], the data has [2]"],
  ])("%#", async (host, message) => {
    await expect(grow({ ...small, host })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(message),
    });
  });
});

/** A host whose one block computes what the test says. */
function hostWith(apply: Parameters<typeof defineBlock>[0]["apply"]) {
  const parameters = { w: { shape: [2, 2], init: zeros } };
  return defineHost({
    id: "mine",
    inputShape: [2],
    classes: 2,
    blocks: [
      defineBlock({ name: "body", parameters, outputShape: [2], slot: true, apply }),
      defineBlock({ name: "head", parameters: {}, outputShape: [2], apply: (_, h) => h }),
    ],
  });
}

describe("an error in a block names it", () => {
  test.each([
    [
      (): never => {
        throw new TypeError("no such layer");
      },
      "host mine, block body: no such layer",
    ],
    [
      (_: unknown, x: Parameters<ReturnType<typeof hostWith>["blocks"][0]["apply"]>[1]) => x.sum(1),
      "apply gives [2], outputShape says [2, 2]",
    ],
    [() => 3 as never, "host mine, block body: apply gives no array"],
  ])("%#", async (apply, message) => {
    await expect(grow({ ...small, host: hostWith(apply) })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(message),
    });
  });
});

test("a blueprint of the wrong shape fails its gate, not the run", async () => {
  const wide = defineBlueprint({
    id: "wide",
    form: "delta",
    bounds: {},
    supports: () => true,
    parameters: () => ({ w: { shape: [1], init: zeros } }),
    apply: ({ w }, h) => h.sum(-1).add(w.sum()),
  });
  const events: EventReport[] = [];
  const run = await grow({
    ...small,
    epochs: 8,
    growth: true,
    blueprints: [...builtins, wide],
    policy: new SchedulePolicy({ blueprints: [{ id: "wide", parameters: {} }], at: [0.1] }),
    onEvent: (event) => void events.push(event),
  });
  expect(run).toMatchObject({ ended: "finished", paramsTotal: run.paramsHost });
  expect(events).toContainEqual(expect.objectContaining({ name: "gate_failure", level: "CRITICAL" }));
  expect(JSON.stringify(events)).toContain("wide maps [32,16] to [32]");
});

test("kernels of the catalog service need a bus", async () => {
  const growing = grow({ ...small, growth: true, catalogService: true, catalog: "nowhere" });
  await expect(growing).rejects.toThrow(/catalogService is for a run on a bus/);
});
