/** Whole training steps of a back end against those of the WebAssembly one: every host, blueprint and optimizer. */

import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import {
  type BlendConfig,
  DEFAULT_BLEND,
  float32,
  int32,
  type SeedPart,
  scalar,
  sizeOf,
  type Tensor,
  type Tensors,
} from "../contracts/index.js";
import { againstWasm } from "../engine/against-wasm.conformance.js";
import { type Backend, trace } from "../engine/index.js";
import { blendWeights } from "../kasmina/index.js";
import { batchSpecs, type SeedSite, seedPath, slotShape, type Topology } from "../network/index.js";
import {
  builtinBlueprints,
  createHost,
  HOST_IDS,
  type Host,
  type HostId,
  type HostTask,
  initHost,
  initKernel,
  slotsOf,
} from "../nn/index.js";
import { OPTIMIZERS, type OptimizerId } from "./optimizers.js";
import { optimizerSpecs, trainStepProgram } from "./train-step.js";

const BATCH = 8;
const IMAGES = { inputShape: [8, 8, 1], classes: 3 };
const TASKS: { readonly [Id in HostId]: HostTask } = {
  resmlp: IMAGES,
  resconv: IMAGES,
  charlm: { inputShape: [12], classes: 7, inputDType: "int32" },
};

function hostAlone(id: HostId): Topology {
  return { host: createHost(id, TASKS[id]), sites: [], hostGradient: "detach" };
}

function withSeed(id: HostId, blueprintId: string, part: SeedPart): Topology {
  const topology = hostAlone(id);
  const slotId = slotsOf(topology.host)[0]?.id ?? "";
  const blueprint = builtinBlueprints.get(blueprintId);
  const defaults = Object.entries(blueprint.bounds).map(([name, bounds]) => [name, bounds.min] as const);
  const site = { seedId: "s1", slotId, blueprint, parameters: Object.fromEntries(defaults), part };
  return { ...topology, sites: [site] };
}

function blueprintsOf(id: HostId): string[] {
  const shape = slotsOf(createHost(id, TASKS[id]))[0]?.shape ?? [];
  return builtinBlueprints.ids.filter((blueprint) => builtinBlueprints.get(blueprint).supports(shape));
}

/** Weights off their zero start, so that a seed has an effect. */
function kernelOf(topology: Topology, site: SeedSite): Tensors {
  const random = new Random(5);
  const kernel = initKernel(site.blueprint, slotShape(topology, site), site.parameters, 3);
  return Object.fromEntries(
    Object.entries(kernel).map(([name, { shape, data }]) => {
      const values = Float32Array.from(data, (value) => value + 0.1 * random.normal());
      return [seedPath(site, name), float32(shape, values)];
    }),
  );
}

/** Normal values, or tokens; labels that follow from them. */
function batchOf(host: Host, seed: number): Tensors {
  const random = new Random(seed);
  const { x, y } = batchSpecs(host, BATCH);
  const labels = Int32Array.from({ length: sizeOf(y.shape) }, () => random.below(host.classes));
  const size = sizeOf(x.shape);
  const inputs =
    x.dtype === "int32"
      ? int32(
          x.shape,
          Int32Array.from({ length: size }, (_, i) => labels[(i * labels.length) / size] ?? 0),
        )
      : float32(
          x.shape,
          Float32Array.from(
            { length: size },
            (_, i) => random.normal() + (labels[Math.floor((i * labels.length) / size)] ?? 0),
          ),
        );
  return { x: inputs, y: int32(y.shape, labels) };
}

/** What a step is fed: how seeds blend, and how fast everything learns. */
interface Dials {
  readonly blend: BlendConfig;
  readonly alpha: number;
  readonly lr: number;
}

const MODES = ["CONVEX", "RESIDUAL", "CHANNEL", "CONFIDENCE"] as const;
const STEADY: Dials = { blend: DEFAULT_BLEND, alpha: 0.5, lr: 0.01 };

/** Other values of everything that is a value, at every step. */
function turned(step: number): Dials {
  const random = new Random(step);
  const mode = MODES[step % MODES.length] ?? "CONVEX";
  const some = (length: number) => Array.from({ length }, () => random.uniform());
  return {
    blend: {
      ...DEFAULT_BLEND,
      mode,
      alphaVec: mode === "CHANNEL" ? some(2) : [],
      confidenceLogits: mode === "CONFIDENCE" ? some(3) : [],
      gateK: 1 + 4 * random.uniform(),
      gateTau: random.uniform(),
    },
    alpha: random.uniform(),
    lr: 0.02 * random.uniform(),
  };
}

function controlsOf(topology: Topology, { blend, alpha, lr }: Dials): Tensors {
  const controls: Record<string, Tensor> = {};
  for (const site of topology.sites) {
    const { seedWeight, hostWeight } = blendWeights(blend, alpha, slotShape(topology, site).at(-1) ?? 1);
    controls[`blend/${site.seedId}/seed_weight`] = float32([seedWeight.length], seedWeight);
    controls[`blend/${site.seedId}/host_weight`] = float32([hostWeight.length], hostWeight);
  }
  for (const group of ["host", ...topology.sites.map(({ seedId }) => seedId)]) {
    controls[`optimizer/${group}/lr`] = scalar(lr);
    controls[`optimizer/${group}/momentum`] = scalar(0.9);
    controls[`optimizer/${group}/weight_decay`] = scalar(0.01);
  }
  return controls;
}

/** Losses and parameters after `steps` steps. */
async function run(
  backend: Backend,
  topology: Topology,
  optimizer: OptimizerId,
  steps: number,
  dialsAt: (step: number) => Dials = () => STEADY,
) {
  const program = await backend.compile(trace(trainStepProgram(topology, OPTIMIZERS[optimizer], BATCH)));
  const parameters = Object.assign(
    {},
    initHost(topology.host, 1),
    ...topology.sites.map((site) => kernelOf(topology, site)),
  );
  const slots = optimizerSpecs(OPTIMIZERS[optimizer], parameters);
  const state = backend.createState();
  state.write(parameters);
  state.write(Object.fromEntries(Object.entries(slots).map(([path, { shape }]) => [path, float32(shape)])));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const controls = controlsOf(topology, dialsAt(step));
    const { loss } = await program.run(state, batchOf(topology.host, step % 10), controls);
    losses.push(loss?.data[0] ?? Number.NaN);
  }
  const tensors = await state.read(Object.keys(parameters));
  program.dispose();
  state.dispose();
  return { losses, tensors };
}

/** The largest difference of any parameter, relative to the largest value in its tensor. */
function worstDifference(actual: Tensors, expected: Tensors): number {
  const differences = Object.entries(expected).map(([path, { data }]) => {
    const wanted = Array.from(data);
    const other = actual[path]?.data ?? [];
    const size = Math.max(1e-3, ...wanted.map(Math.abs));
    return Math.max(...wanted.map((value, i) => Math.abs(value - (other[i] ?? Number.NaN)))) / size;
  });
  return Math.max(...differences);
}

export interface StepsCompared {
  /** Steps of the longest comparison: 100, fewer where one takes long. */
  readonly steps: number;
  /** Largest difference of a parameter after them, relative to the largest in its tensor. */
  readonly tolerance: number;
}

/** Declares the suite. */
export function describeTrainingSteps(
  name: string,
  open: () => Promise<Backend>,
  { steps, tolerance }: StepsCompared,
): void {
  describe.each(HOST_IDS)(`%s on ${name}`, (id) => {
    const engines = againstWasm(open);

    test(`agrees within ${tolerance} after ${steps} steps`, async () => {
      const expected = await run(engines.wasm, hostAlone(id), "sgd", steps);
      const actual = await run(engines.backend, hostAlone(id), "sgd", steps);
      expect(expected.losses.at(-1)).toBeLessThan(expected.losses[0] ?? 0);
      expect(worstDifference(actual.tensors, expected.tensors)).toBeLessThan(tolerance);
      const relative = actual.losses.map((loss, i) => Math.abs(loss / (expected.losses[i] ?? 0) - 1));
      expect(Math.max(...relative)).toBeLessThan(tolerance);
    });

    test.each(["adam", "adamw"] as const)("agrees on %s", async (optimizer) => {
      const expected = await run(engines.wasm, hostAlone(id), optimizer, 5);
      const actual = await run(engines.backend, hostAlone(id), optimizer, 5);
      const relative = actual.losses.map((loss, i) => Math.abs(loss / (expected.losses[i] ?? 0) - 1));
      expect(Math.max(...relative)).toBeLessThan(10 * tolerance);
    });

    test.each(blueprintsOf(id))("agrees with a seed of %s", async (blueprint) => {
      for (const part of ["shadow", "probationary"] as const) {
        const topology = withSeed(id, blueprint, part);
        const expected = await run(engines.wasm, topology, "sgd", 4);
        const actual = await run(engines.backend, topology, "sgd", 4);
        expect(worstDifference(actual.tensors, expected.tensors)).toBeLessThan(tolerance);
      }
    });

    test("is bit for bit itself, run after run", async () => {
      const topology = withSeed(id, blueprintsOf(id)[0] ?? "", "blending");
      const first = await run(engines.backend, topology, "adam", Math.min(30, steps));
      expect(await run(engines.backend, topology, "adam", Math.min(30, steps))).toEqual(first);
    });

    test("another alpha, rate, blend vector or gate compiles nothing", async () => {
      const topology = withSeed(id, blueprintsOf(id)[0] ?? "", "blending");
      await run(engines.backend, topology, "adam", 1);
      const { compiled } = engines.backend.stats;
      const { losses } = await run(engines.backend, topology, "adam", steps, turned);
      expect(losses).not.toEqual((await run(engines.backend, topology, "adam", steps)).losses);
      expect(engines.backend.stats.compiled).toBe(compiled);
    });
  });
}
