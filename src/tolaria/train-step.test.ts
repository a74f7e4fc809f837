import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import {
  DEFAULT_BLEND,
  float32,
  int32,
  type SeedPart,
  scalar,
  sizeOf,
  type Tensor,
  type Tensors,
} from "../contracts/index.js";
import { type Backend, createWasmBackend, dependencies, type State, trace } from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { blendWeights } from "../kasmina/index.js";
import { type SeedSite, seedPath, type Topology } from "../network/index.js";
import {
  attentionResidual,
  type Blueprint,
  charlm,
  convResidual,
  createHost,
  type Host,
  initHost,
  initKernel,
  labelShape,
  mlpResidual,
  resconv,
  resmlp,
} from "../nn/index.js";
import { OPTIMIZERS, type OptimizerId } from "./optimizers.js";
import { optimizerSpecs, trainStepProgram } from "./train-step.js";

const BATCH = 8;
const CASES: readonly { host: Host; blueprint: Blueprint; parameters: Record<string, number> }[] = [
  {
    host: resmlp({ inputShape: [6], classes: 3, width: 5 }),
    blueprint: mlpResidual,
    parameters: { hidden: 7 },
  },
  {
    host: resconv({ inputShape: [8, 8, 1], classes: 3, channels: 4 }),
    blueprint: convResidual,
    parameters: { channels: 3 },
  },
  {
    host: charlm({ inputShape: [6], classes: 5, d: 8, heads: 2 }),
    blueprint: attentionResidual,
    parameters: { heads: 2, headSize: 3 },
  },
];
const BACKENDS = { wasm: createWasmBackend, native: () => createNativeBackend({ threads: 1 }) };

let backend: Backend;

function siteOf(
  blueprint: Blueprint,
  parameters: Record<string, number>,
  part: SeedPart,
  slotId = "block1",
  seedId = "s1",
): SeedSite {
  return { seedId, slotId, blueprint, parameters, part };
}

/** Weights that are not at their (zero) start, so that a seed has an effect. */
function kernelOf(site: SeedSite, shape: readonly number[], fill?: number): Tensors {
  const random = new Random(5);
  const start = Object.entries(initKernel(site.blueprint, shape, site.parameters, 3));
  return Object.fromEntries(
    start.map(([name, tensor]) => [
      seedPath(site, name),
      float32(
        tensor.shape,
        Float32Array.from(tensor.data, (value) => fill ?? value + 0.1 * random.normal()),
      ),
    ]),
  );
}

/** Normal inputs; the label is which of the first values is the largest, so there is something to learn. */
function batchOf(host: Host, seed: number): Tensors {
  if (host.inputDType === "int32") return tokenBatchOf(host, seed);
  const random = new Random(seed);
  const size = sizeOf(host.inputShape);
  const x = Float32Array.from({ length: BATCH * size }, () => random.normal());
  const y = Int32Array.from({ length: BATCH }, (_, row) => {
    const first = [...x.subarray(row * size, row * size + host.classes)];
    return first.indexOf(Math.max(...first));
  });
  return { x: float32([BATCH, ...host.inputShape], x), y: int32([BATCH], y) };
}

/** Random tokens; each label is the token before, so attention has something to learn. */
function tokenBatchOf(host: Host, seed: number): Tensors {
  const random = new Random(seed);
  const shape = [BATCH, ...labelShape(host)];
  const x = Int32Array.from({ length: sizeOf(shape) }, () => Math.floor(host.classes * random.uniform()));
  return { x: int32(shape, x), y: int32(shape, [0, ...x.subarray(0, -1)]) };
}

interface Setup {
  readonly topology: Topology;
  readonly optimizer?: OptimizerId;
  readonly alpha?: number;
  readonly kernelFill?: number;
}

async function start({ topology, optimizer = "sgd", alpha = 1, kernelFill }: Setup) {
  const program = await backend.compile(trace(trainStepProgram(topology, OPTIMIZERS[optimizer], BATCH)));
  const state: State = backend.createState();
  const parameters: Record<string, Tensor> = { ...initHost(topology.host, 1) };
  const controls: Record<string, Tensor> = {};
  for (const site of topology.sites) {
    const shape = topology.host.blocks.find(({ name }) => name === site.slotId)?.outputShape ?? [];
    Object.assign(parameters, kernelOf(site, shape, kernelFill));
    const { seedWeight, hostWeight } = blendWeights(DEFAULT_BLEND, alpha, shape.at(-1) ?? 0);
    controls[`blend/${site.seedId}/seed_weight`] = float32([seedWeight.length], seedWeight);
    controls[`blend/${site.seedId}/host_weight`] = float32([hostWeight.length], hostWeight);
  }
  state.write(parameters);
  const slots = optimizerSpecs(OPTIMIZERS[optimizer], parameters);
  state.write(Object.fromEntries(Object.entries(slots).map(([path, { shape }]) => [path, float32(shape)])));
  for (const group of ["host", ...topology.sites.map(({ seedId }) => seedId)]) {
    controls[`optimizer/${group}/lr`] = scalar(0.02);
    controls[`optimizer/${group}/momentum`] = scalar(0.9);
    controls[`optimizer/${group}/weight_decay`] = scalar(0.01);
  }
  return { program, state, controls, host: topology.host };
}

async function run(setup: Setup, steps: number) {
  const { program, state, controls, host } = await start(setup);
  const losses: number[] = [];
  let outputs: Readonly<Record<string, Tensor>> = {};
  for (let step = 0; step < steps; step++) {
    outputs = await program.run(state, batchOf(host, step), controls);
    losses.push(outputs.loss?.data[0] ?? Number.NaN);
  }
  return { losses, outputs, state: await state.read() };
}

function hostPart(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).filter(([path]) => /(^|\/)host\//.test(path)));
}

const cases = (["wasm", "native"] as const).flatMap((engine) =>
  CASES.map((example) => ({ engine, ...example })),
);

describe.each(cases)("a step of $host.id on $engine", ({ engine, host, blueprint, parameters }) => {
  beforeAll(async () => {
    backend = await BACKENDS[engine]();
  });
  afterAll(() => backend.dispose());

  const alone: Topology = { host, sites: [], hostGradient: "detach" };
  const withSeed = (part: SeedPart, slotId?: string): Topology => ({
    ...alone,
    sites: [siteOf(blueprint, parameters, part, slotId)],
  });

  test.each([
    "sgd",
    "adam",
    "adamw",
  ] as const)("%s: a TRAINING seed leaves the host as if alone, bit for bit", async (optimizer) => {
    const expected = await run({ topology: alone, optimizer }, 12);
    const actual = await run({ topology: withSeed("shadow"), optimizer }, 12);
    expect(actual.losses).toEqual(expected.losses);
    expect(hostPart(actual.state)).toEqual(hostPart(expected.state));
    expect(actual.outputs["gradient_norm/s1"]?.data[0]).toBeGreaterThan(0);
  });

  test("a TRAINING seed of NaN leaves the host as if alone, bit for bit", async () => {
    const expected = await run({ topology: alone }, 10);
    const actual = await run({ topology: withSeed("shadow"), kernelFill: Number.NaN }, 10);
    expect(actual.outputs["loss/s1"]?.data[0]).toBeNaN();
    expect(actual.losses).toEqual(expected.losses);
    expect(hostPart(actual.state)).toEqual(hostPart(expected.state));
  });

  test.each([
    "blending",
    "shadowing",
    "probationary",
    "grown",
  ] as const)("%s at alpha 0 computes the host's loss exactly", async (part) => {
    const expected = await run({ topology: alone }, 1);
    const actual = await run({ topology: withSeed(part), alpha: 0 }, 1);
    expect(actual.losses).toEqual(expected.losses);
  });

  test("a TRAINING seed's shadow loss is the loss it has when blended at its target", async () => {
    const shadow = await run({ topology: withSeed("shadow"), alpha: 0.7 }, 1);
    const blended = await run({ topology: withSeed("probationary"), alpha: 0.7 }, 1);
    expect(shadow.outputs["loss/s1"]?.data[0]).toBeCloseTo(blended.losses[0] ?? Number.NaN, 6);
    expect(shadow.losses[0]).not.toBeCloseTo(blended.losses[0] ?? Number.NaN, 4);
  });

  test("what learns in each stage is what the design says", async () => {
    const moved = async (part: SeedPart) => {
      const setup = { topology: withSeed(part, "block1") };
      const before = await run(setup, 0);
      const after = await run(setup, 2);
      const changed = Object.keys(before.state).filter(
        (path) =>
          !path.startsWith("optimizer/") &&
          before.state[path]?.data.toString() !== after.state[path]?.data.toString(),
      );
      return new Set(changed.map((path) => path.split("/").slice(0, 2).join("/")));
    };
    const below = [`host/${host.blocks[0]?.name}`, "host/block1"];
    const above = ["host/block2", "host/head"];
    expect(await moved("shadow")).toEqual(new Set([...below, ...above, "seed/s1"]));
    expect(await moved("blending")).toEqual(new Set([...above, "seed/s1"]));
    expect(await moved("shadowing")).toEqual(new Set(above));
    expect(await moved("probationary")).toEqual(new Set([...below, ...above, "seed/s1"]));
    expect(await moved("grown")).toEqual(new Set([...below, ...above, "host/grown"]));
  });

  test("a gradient that is longer than the limit is shortened to it, each owner's for itself", async () => {
    const limit = 0.05;
    const gradientsOf = async (topology: Topology) => {
      const [{ state: before }, { state: after }] = [await run({ topology }, 0), await run({ topology }, 1)];
      // From a momentum of 0 the first one is gradient + 0.01 · parameter.
      return (owner: string): number[] =>
        Object.entries(before)
          .filter(([path]) => path.startsWith(owner))
          .flatMap(([path, { data }]) =>
            Array.from(
              data,
              (value, i) => (after[`optimizer/momentum/${path}`]?.data[i] ?? 0) - 0.01 * value,
            ),
          );
    };
    const norm = (values: readonly number[]): number => Math.hypot(...values);
    const topology = withSeed("shadow");
    const [plain, clipped] = [
      await gradientsOf(topology),
      await gradientsOf({ ...topology, clipNorm: limit }),
    ];
    for (const owner of ["host/", "seed/s1/"]) {
      const [whole, short] = [plain(owner), clipped(owner)];
      expect(norm(whole)).toBeGreaterThan(limit);
      expect(norm(short)).toBeCloseTo(limit, 4);
      const factor = limit / norm(whole);
      for (const [i, value] of short.entries()) expect(value).toBeCloseTo((whole[i] ?? 0) * factor, 4);
    }
    const alike = await gradientsOf({ ...topology, clipNorm: 1e6 });
    expect(alike("host/")).toEqual(plain("host/"));
  });

  test("a TRAINING seed of NaN leaves a host whose gradient is clipped as if alone, bit for bit", async () => {
    const expected = await run({ topology: { ...alone, clipNorm: 0.05 } }, 6);
    const actual = await run(
      { topology: { ...withSeed("shadow"), clipNorm: 0.05 }, kernelFill: Number.NaN },
      6,
    );
    expect(hostPart(actual.state)).toEqual(hostPart(expected.state));
  });

  test("nothing of the host can depend on a TRAINING seed: the program shows it", () => {
    const traced = trace(trainStepProgram(withSeed("shadow"), OPTIMIZERS.adamw, BATCH));
    const reach = dependencies(traced.ir);
    for (const [i, output] of traced.outputs.entries()) {
      if (!/(^|\/)host\//.test(output.name) && output.name !== "loss") continue;
      const sources = [...(reach[i] ?? [])].map((index) => traced.inputs[index]?.name ?? "");
      expect(sources.filter((name) => name.includes("s1"))).toEqual([]);
    }
  });

  test("training lowers the loss", async () => {
    const { losses } = await run({ topology: withSeed("probationary") }, 80);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(losses.slice(-20))).toBeLessThan(mean(losses.slice(0, 20)));
  });
});

test("the step of a network of many layers is traced, however deep its gradient goes", () => {
  const task = { inputShape: [4], inputDType: "int32", classes: 5 } as const;
  const host = createHost("charlm:width=8,blocks=54,heads=2", task);
  const loss = { task: "next-token" } as const;
  const traced = trace(
    trainStepProgram({ host, sites: [], hostGradient: "detach", loss }, OPTIMIZERS.sgd, 2),
  );
  expect(traced.ir.equations.length).toBeGreaterThan(10_000);
});
