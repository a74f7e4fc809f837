/** Frozen prefixes: where they end, and that a network computed in two parts has the bits and the costs of one computed whole. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, type SeedPart, sizeOf, type TensorSpec, type Tensors } from "../contracts/index.js";
import { type Backend, openBackend, type ProgramDefinition, trace } from "../engine/index.js";
import { fixture, paddleOcr } from "../engine/onnx/import/imported-models.fixture.js";
import {
  builtinBlueprints,
  createHost,
  type Host,
  initHost,
  initKernel,
  type OnnxHostOptions,
  onnxHost,
  slotsOf,
} from "../nn/index.js";
import { evaluationProgram } from "./evaluation.js";
import { blendControlSpecs } from "./forward.js";
import { frozenPrefix, prefixProgram } from "./frozen-prefix.js";
import { stepGradients } from "./gradients.js";
import { batchSpecs, parameterSpecs, type SeedSite, seedPath, slotShape, type Topology } from "./topology.js";

const ANY_SIZE = Number.POSITIVE_INFINITY;
const BATCH = 4;

function imageHost(name: string, options: OnnxHostOptions = { head: "new" }): Host {
  const bytes = name.startsWith("ch_") ? paddleOcr(name) : fixture(name);
  return onnxHost(bytes, { inputShape: [32, 32, 3], classes: 4 }, options);
}

function tokenHost(name: string): Host {
  return onnxHost(fixture(name), { inputShape: [12], inputDType: "int32", classes: 4 }, { head: "new" });
}

/** Seeds in slots counted from 0. */
function topologyOf(host: Host, seeds: readonly (readonly [slot: number, part: SeedPart])[] = []): Topology {
  const sites = seeds.map(([slot, part], i): SeedSite => {
    const blueprint = builtinBlueprints.get("mlp-residual");
    const slotId = slotsOf(host)[slot]?.id ?? "";
    return { seedId: `seed-${i}`, slotId, blueprint, parameters: { hidden: 3 }, part };
  });
  return { host, sites, hostGradient: "detach" };
}

describe("a frozen prefix", () => {
  const host = imageHost("resnet18-bn");
  const lengthOf = (topology: Topology): number => frozenPrefix(topology, ANY_SIZE);
  const depthOf = (slot: number): number => slotsOf(host)[slot]?.depth ?? Number.NaN;

  test("ends before the first block that learns, which is a new head where the file is frozen", () => {
    expect(host.blocks.at(-1)?.name).toBe("head");
    expect(lengthOf(topologyOf(host))).toBe(host.blocks.length - 1);
  });

  test("ends at the first slot with a seed, whatever its part", () => {
    for (const part of ["germinated", "shadow", "blending", "shadowing", "probationary", "grown"] as const) {
      const seeds = [
        [5, "grown"],
        [2, part],
      ] as const;
      expect(lengthOf(topologyOf(host, seeds))).toBe(depthOf(2) + 1);
    }
  });

  test("leaves the last block, also where nothing learns at all", () => {
    const kept = onnxHost(fixture("resnet18-bn"), { inputShape: [32, 32, 3], classes: 4 }, { head: "keep" });
    expect(lengthOf(topologyOf(kept))).toBe(kept.blocks.length - 1);
  });

  test("is none where the first block learns, where it is too large, and where a teacher wants the examples", () => {
    expect(lengthOf(topologyOf(imageHost("resnet18-bn", { train: "all" })))).toBe(0);
    const resmlp = createHost("resmlp", { inputShape: [2], classes: 3 });
    expect(lengthOf(topologyOf(resmlp))).toBe(0);
    const topology = topologyOf(host, [[2, "shadow"]]);
    const values = sizeOf(host.blocks[depthOf(2)]?.outputShape ?? []);
    expect(frozenPrefix(topology, values)).toBe(depthOf(2) + 1);
    expect(frozenPrefix(topology, values - 1)).toBe(0);
    expect(lengthOf({ ...topology, teacher: { id: "teacher", topology: topologyOf(host) } })).toBe(0);
  });
});

/** A training step whose gradients are outputs. */
function stepProgram(topology: Topology, prefix: number): ProgramDefinition {
  return {
    name: "step",
    state: parameterSpecs(topology, { from: prefix }),
    batch: { ...batchSpecs(topology.host, BATCH, {}, prefix) },
    controls: blendControlSpecs(topology),
    run: (state, batch, controls) => {
      const step = stepGradients(topology, state, controls, {
        ...(batch as never as { x: never; y: never }),
        prefix,
      });
      const shadows = [...step.shadowLosses].map(([{ seedId }, loss]) => [`loss/${seedId}`, loss] as const);
      return { state: {}, outputs: { loss: step.loss, ...Object.fromEntries(shadows), ...step.gradients } };
    },
  };
}

function example({ shape, dtype }: TensorSpec) {
  const numbers = Array.from({ length: sizeOf(shape) }, (_, i) => (i * 37) % 101);
  return dtype === "int32"
    ? int32(
        shape,
        numbers.map((number) => number % 32),
      )
    : float32(
        shape,
        numbers.map((number) => number / 50 - 1),
      );
}

function stateOf(topology: Topology): Tensors {
  const kernels = topology.sites.flatMap((site) =>
    Object.entries(initKernel(site.blueprint, slotShape(topology, site), site.parameters, 1)).map(
      ([name, { shape }]) => [seedPath(site, name), example({ shape, dtype: "float32" })] as const,
    ),
  );
  return { ...initHost(topology.host, 1), ...Object.fromEntries(kernels) };
}

function controlsOf(topology: Topology): Tensors {
  const specs = Object.entries(blendControlSpecs(topology));
  return Object.fromEntries(specs.map(([name, { shape }]) => [name, float32(shape, 0.25)]));
}

describe.each(["native", "wasm"] as const)("on %s, a network in two parts", (engine) => {
  let backend: Backend;
  beforeAll(async () => {
    ({ backend } = await openBackend(engine, { threads: 1 }));
  });
  afterAll(() => backend.dispose());

  async function run(topology: Topology, definition: ProgramDefinition, batch: Tensors) {
    const traced = trace(definition);
    const program = await backend.compile(traced);
    const state = backend.createState();
    state.write(stateOf(topology));
    const outputs = await program.run(state, batch, controlsOf(topology));
    state.dispose();
    program.dispose();
    return { outputs, flops: traced.flops };
  }

  const hosts: [string, () => Host][] =
    engine === "native"
      ? [
          ["resnet18-bn", () => imageHost("resnet18-bn")],
          ["ch_ppocr_mobile_v2.0_cls_infer", () => imageHost("ch_ppocr_mobile_v2.0_cls_infer")],
          ["bert", () => tokenHost("bert")],
        ]
      : [["mlp-bn", () => onnxHost(fixture("mlp-bn"), { inputShape: [12], classes: 4 }, { head: "new" })]];

  test.each(hosts)("%s has the bits and the costs of it whole", async (_, open) => {
    const host = open();
    const last = slotsOf(host).length - 1;
    const seeds = [
      [],
      [[last, "shadow"]],
      [
        [0, "blending"],
        [last, "probationary"],
      ],
    ] as const;
    for (const topology of seeds.map((some) => topologyOf(host, some))) {
      const { x, y } = batchSpecs(host, BATCH);
      const inputs = example(x);
      const labels = int32(y.shape, [0, 3, 1, 2]);
      const prefix = frozenPrefix(topology, ANY_SIZE);
      expect(prefix).toBeGreaterThan(0);
      const before = await run(topology, prefixProgram(topology, prefix, BATCH), { x: inputs });
      const features = before.outputs.features ?? inputs;

      const whole = await run(topology, stepProgram(topology, 0), { x: inputs, y: labels });
      const rest = await run(topology, stepProgram(topology, prefix), { x: features, y: labels });
      expect(Object.keys(whole.outputs).length).toBeGreaterThan(2);
      expect(rest.outputs).toEqual(whole.outputs);
      expect(before.flops + rest.flops).toBe(whole.flops);

      const weight = float32([BATCH], 1);
      const judged = await run(topology, evaluationProgram(topology, BATCH), {
        x: inputs,
        y: labels,
        weight,
      });
      const judgedRest = await run(topology, evaluationProgram(topology, BATCH, prefix), {
        ...{ x: features, y: labels, weight },
      });
      expect(judgedRest.outputs).toEqual(judged.outputs);
      expect(before.flops + judgedRest.flops).toBe(judged.flops);
    }
  });
});
