/** Seeds in a host from an ONNX file: what learns, what is frozen, and that a seed at alpha 0 leaves every bit as it was. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, type Tensor, type Tensors } from "../contracts/index.js";
import { type Backend, trace } from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { fixture } from "../engine/onnx/import/imported-models.fixture.js";
import {
  builtinBlueprints,
  initHost,
  initKernel,
  type OnnxHostOptions,
  onnxHost,
  slotsOf,
} from "../nn/index.js";
import { forwardProgram } from "./forward-program.js";
import { blendControlSpecs, learningPlan, parameterSpecs, type Topology } from "./index.js";
import { siteSpecs } from "./topology.js";

const TASK = { inputShape: [32, 32, 3], classes: 4 };

function topologyOf(blueprintId: string | undefined, options: OnnxHostOptions = {}): Topology {
  const host = onnxHost(fixture("resnet18-bn"), TASK, options);
  const slot = slotsOf(host)[3];
  if (!blueprintId || !slot) return { host, sites: [], hostGradient: "detach" };
  const blueprint = builtinBlueprints.get(blueprintId);
  const parameters = Object.fromEntries(
    Object.entries(blueprint.bounds).map(([name, bound]) => [name, Math.min(bound.default, 8)]),
  );
  const site = { seedId: "seed-1", slotId: slot.id, blueprint, parameters, part: "probationary" as const };
  return { host, sites: [site], hostGradient: "detach" };
}

/** The host's weights, and a kernel whose output is not 0. */
function stateOf(topology: Topology): Tensors {
  const [site] = topology.sites;
  const kernel = site
    ? Object.keys(siteSpecs(topology, site)).map((path): [string, Tensor] => {
        const spec = siteSpecs(topology, site)[path] ?? { shape: [] };
        const size = spec.shape.reduce((product, one) => product * one, 1);
        return [
          path,
          float32(
            spec.shape,
            Array.from({ length: size }, (_, i) => ((i % 7) - 3) / 10),
          ),
        ];
      })
    : [];
  const weights = Object.entries(blendControlSpecs(topology)).map(([name, { shape }]): [string, Tensor] => [
    name,
    float32(shape, 0),
  ]);
  return { ...initHost(topology.host, 1), ...Object.fromEntries([...kernel, ...weights]) };
}

let native: Backend;
beforeAll(async () => {
  native = await createNativeBackend({ threads: 1 });
});
afterAll(() => native.dispose());

async function logits(topology: Topology, state: Tensors): Promise<number[]> {
  const program = await native.compile(trace(forwardProgram(topology, 2)));
  const own = native.createState();
  own.write(state);
  const input = float32(
    [2, ...TASK.inputShape],
    Array.from({ length: 2 * 32 * 32 * 3 }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
  const results = await program.run(own, { input }, {});
  own.dispose();
  return [...(results.logits?.data ?? [])];
}

test.each([
  "mlp-residual",
  "conv-residual",
  "squeeze-excite",
  "low-rank",
])("%s at alpha 0 leaves every bit of the host's output", async (id) => {
  const alone = topologyOf(undefined);
  const seeded = topologyOf(id);
  const expected = await logits(alone, stateOf(alone));
  const state = stateOf(seeded);
  expect(await logits(seeded, state)).toEqual(expected);
  const [control = ""] = Object.keys(blendControlSpecs(seeded));
  const weight = state[control];
  const open = { ...state, [control]: float32(weight?.shape ?? [], 1) };
  expect(await logits(seeded, open)).not.toEqual(expected);
});

describe("what learns from the network's loss", () => {
  test("is the seed alone where the file is frozen", () => {
    const plan = learningPlan(topologyOf("low-rank"));
    expect(plan.main).toEqual(["seed/seed-1/a", "seed/seed-1/b"]);
  });

  test("is every weight of the file too where asked, running statistics excepted", () => {
    const topology = topologyOf("low-rank", { train: "all" });
    const { main } = learningPlan(topology);
    expect(main.filter((path) => /running|mean|var/.test(path))).toEqual([]);
    expect(main.length).toBeGreaterThan(60);
    expect(Object.keys(parameterSpecs(topology)).length).toBeGreaterThan(main.length);
  });
});

test("a kernel fits a slot of the file as it does any other", () => {
  const [slot] = slotsOf(topologyOf(undefined).host);
  const kernel = initKernel(builtinBlueprints.get("low-rank"), slot?.shape ?? [], { rank: 2 }, 1);
  expect(kernel.a?.shape).toEqual([2, slot?.shape.at(-1)]);
});
