import { beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import {
  float32,
  type IsolationReading,
  int32,
  type SeedPart,
  sizeOf,
  type Tensor,
  type Tensors,
  violationOf,
} from "../../contracts/index.js";
import { type Backend, openBackend } from "../../engine/index.js";
import { type Blueprint, type Host, initHost, initKernel, mlpResidual, resmlp } from "../../nn/index.js";
import { type SeedSite, seedPath, slotShape, type Topology } from "../topology.js";
import { IsolationMonitor } from "./isolation-monitor.js";
import { openHole } from "./leaks.fixture.js";
import { countCoordinates, sampleCoordinates } from "./sample.js";

const BATCH = 16;
const OPTIONS = { batch: BATCH, rows: 4, coordinates: 4_096 };
const LIMITS = { maxLeakRatio: 1e-6, maxCosine: 0.01, negligibleLeakRatio: 1e-9 };
const ISOLATED: readonly SeedPart[] = ["germinated", "shadow", "blending", "shadowing"];
const host = resmlp({ inputShape: [6], classes: 3, width: 5 });

function site(part: SeedPart, seedId: string, slotId: string, blueprint: Blueprint = mlpResidual): SeedSite {
  return { seedId, slotId, part, blueprint, parameters: blueprint === mlpResidual ? { hidden: 4 } : {} };
}

/** Weights away from their start, so that every seed has an effect. */
function parametersOf(topology: Topology, kernelFill?: number): Tensors {
  const random = new Random(5);
  const disturbed = (tensor: Tensor): Tensor =>
    float32(
      tensor.shape,
      Float32Array.from(tensor.data, (value) => value + 0.3 * random.normal()),
    );
  const parameters: Record<string, Tensor> = {};
  for (const [path, tensor] of Object.entries(initHost(topology.host, 1)))
    parameters[path] = disturbed(tensor);
  for (const own of topology.sites) {
    const kernel = initKernel(own.blueprint, slotShape(topology, own), own.parameters, 3);
    for (const [name, tensor] of Object.entries(kernel)) {
      parameters[seedPath(own, name)] =
        kernelFill === undefined ? disturbed(tensor) : float32(tensor.shape, kernelFill);
    }
  }
  return parameters;
}

function batchOf({ inputShape, classes }: Host): Tensors {
  const random = new Random(8);
  return {
    x: float32(
      [BATCH, ...inputShape],
      Float32Array.from({ length: BATCH * sizeOf(inputShape) }, () => random.normal()),
    ),
    y: int32(
      [BATCH],
      Int32Array.from({ length: BATCH }, () => random.below(classes)),
    ),
  };
}

function controlsOf(topology: Topology, alpha: number): Tensors {
  const controls: Record<string, Tensor> = {};
  for (const own of topology.sites) {
    const shape = [slotShape(topology, own).at(-1) ?? 0];
    controls[`blend/${own.seedId}/seed_weight`] = float32(shape, alpha);
    controls[`blend/${own.seedId}/host_weight`] = float32(shape, 1 - alpha);
  }
  return controls;
}

describe.each(["wasm", "native"] as const)("the monitor on %s", (engine) => {
  let backend: Backend;
  beforeAll(async () => {
    ({ backend } = await openBackend(engine));
  });

  async function check(topology: Topology, alpha = 0.6, kernelFill?: number): Promise<IsolationReading[]> {
    const monitor = await IsolationMonitor.compile(backend, topology, OPTIONS);
    const state = backend.createState();
    state.write(parametersOf(topology, kernelFill));
    const { readings } = await monitor.check(state, batchOf(topology.host), controlsOf(topology, alpha));
    state.dispose();
    monitor.dispose();
    return [...readings];
  }

  describe.each(["detach", "flow"] as const)("hostGradient %s", (hostGradient) => {
    test.each(ISOLATED)("%s below seeds of other stages leaks nothing at all", async (first) => {
      for (const second of ["blending", "shadowing", "grown"] as const) {
        const sites = [site(first, "s1", "block1"), site(second, "s2", "block2")];
        for (const reading of await check({ host, sites, hostGradient })) {
          expect(reading).toEqual({ seedId: reading.seedId, leakRatio: 0, cosine: 0 });
        }
      }
    });

    test("a blueprint that drops the detach leaks the gradient of its branch, and is the only one blamed", async () => {
      const [s0, s1, s2] = await check(leaking("undetached", hostGradient));
      expect(s0).toEqual({ seedId: "s0", leakRatio: 0, cosine: 0 });
      expect(s2).toEqual({ seedId: "s2", leakRatio: 0, cosine: 0 });
      expect(s1?.leakRatio).toBeGreaterThan(0.01);
      expect(s1?.cosine).toBeGreaterThan(0.999);
      expect(s1 && violationOf(s1, LIMITS)).toBe("leak_ratio");
    });

    test("a blueprint that shares a host parameter is seen, and is the only one blamed", async () => {
      const [s0, s1, s2] = await check(leaking("sharing", hostGradient));
      expect([s0?.leakRatio, s2?.leakRatio]).toEqual([0, 0]);
      expect(s1?.leakRatio).toBeGreaterThan(0.01);
      expect(s1?.cosine).toBeGreaterThan(0.1);
      expect(s1 && violationOf(s1, LIMITS)).toBe("leak_ratio");
    });

    test("nothing leaks at alpha 0, and the same blueprints are clean there", async () => {
      for (const reading of await check(leaking("undetached", hostGradient), 0)) {
        expect(reading.leakRatio).toBe(0);
      }
    });

    test("a seed of NaN in TRAINING leaks nothing", async () => {
      const sites = [site("shadow", "s1", "block1"), site("germinated", "s2", "block2")];
      const readings = await check({ host, sites, hostGradient }, 0.6, Number.NaN);
      expect(readings.map(({ leakRatio }) => leakRatio)).toEqual([0, 0]);
    });
  });

  test("compiles a probe once a topology, and an inquiry only where something leaked", async () => {
    const compiled = backend.stats.compiled + backend.stats.cacheHits;
    await check({ host, sites: [site("shadow", "s1", "block1")], hostGradient: "detach" });
    expect(backend.stats.compiled + backend.stats.cacheHits).toBe(compiled + 1);
    await check(leaking("undetached", "detach"));
    expect(backend.stats.compiled + backend.stats.cacheHits).toBe(compiled + 3);
  });
});

/** An honest seed below, the leaking one, and an honest one beside it. */
function leaking(pick: "undetached" | "sharing", hostGradient: Topology["hostGradient"]): Topology {
  const hole = openHole();
  const sites = [
    site("shadowing", "s0", "block1", hole.honest),
    site("blending", "s1", "block2", hole[pick]),
    site("shadow", "s2", "block2", hole.honest),
  ];
  return { host: hole.host, sites, hostGradient };
}

describe("the sample", () => {
  const topologyOf = (width: number, part: SeedPart = "shadow", slotId = "block2"): Topology => ({
    host: resmlp({ inputShape: [16], classes: 3, width }),
    sites: [site(part, "s1", slotId)],
    hostGradient: "detach",
  });

  test.each([
    8, 64, 1_600,
  ])("of a host of width %i is at most 4,096 distinct coordinates below the seed", (width) => {
    const topology = topologyOf(width);
    const sample = sampleCoordinates(topology, 4_096);
    expect(countCoordinates(sample)).toBeLessThanOrEqual(4_096);
    for (const { path, indices } of sample) {
      expect(path).toMatch(/^host\/(stem|block1|block2)\//);
      expect(new Set(indices).size).toBe(indices.length);
      expect(indices.every((index, i) => index > (indices[i - 1] ?? -1))).toBe(true);
    }
  });

  test("of a large host is as large as the limit allows, and reaches every parameter", () => {
    const sample = sampleCoordinates(topologyOf(1_600), 4_096);
    expect(countCoordinates(sample)).toBe(4_096);
    expect(sample).toHaveLength(14);
  });

  test("is the same at every call and in every topology with the same parameters below", () => {
    const first = sampleCoordinates(topologyOf(64), 500);
    expect(sampleCoordinates(topologyOf(64), 500)).toEqual(first);
    expect(sampleCoordinates(topologyOf(64, "blending"), 500)).toEqual(first);
  });

  test("leaves out what is above the topmost isolated seed", () => {
    const paths = sampleCoordinates(topologyOf(8, "shadow", "block1"), 4_096).map(({ path }) => path);
    expect(paths.filter((path) => /block2|head/.test(path))).toEqual([]);
    expect(paths).toContain("host/stem/w");
  });
});

describe("a violation", () => {
  const reading = (leakRatio: number, cosine: number) =>
    violationOf({ seedId: "s1", leakRatio, cosine }, LIMITS);

  test.each([
    [0, 0, undefined],
    [1e-9, 1, undefined],
    [2e-9, 0.02, "cosine"],
    [2e-9, -0.02, "cosine"],
    [2e-9, 0.01, undefined],
    [1e-6, 0, undefined],
    [1.1e-6, 0, "leak_ratio"],
    [Number.POSITIVE_INFINITY, 0, "leak_ratio"],
    [Number.NaN, Number.NaN, "leak_ratio"],
    [5e-7, Number.NaN, "cosine"],
  ])("leak ratio %d, cosine %d: %s", (leakRatio, cosine, expected) => {
    expect(reading(leakRatio, cosine)).toBe(expected);
  });
});
