/**
 * Growth on a device: a seed's whole way, a cull, a rollback, what a lost GPU leaves behind; and that no operator of anything that
 * comes with Kasmina would run on the CPU. Without a GPU the driver computes on the CPU, so the runs are of at most 60 steps.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../src/base/index.js";
import { DEFAULT_BLEND, float32, type SeedPart, type SystemState } from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import { type Backend, trace, wrapBackend, wrapProgram } from "../src/engine/index.js";
import { adapter } from "../src/engine/native/gpu/software-adapter.fixture.js";
import {
  createGpuBackend,
  createNativeBackend,
  type GpuBackend,
  OnnxFile,
} from "../src/engine/native/index.js";
import { parseConfig } from "../src/kasmina/index.js";
import type { Topology } from "../src/network/index.js";
import { builtinBlueprints, createHost, HOST_IDS, type HostTask, resmlp, slotsOf } from "../src/nn/index.js";
import type { Decision } from "../src/tamiyo/index.js";
import { definitionsOf, OPTIMIZERS } from "../src/tolaria/index.js";
import type { RunCheckpoint } from "../src/weatherlight/grow/run-outcome.js";
import type { RunSetup } from "../src/weatherlight/grow/run-setup.js";
import { trainRun } from "../src/weatherlight/grow/train-run.js";
import type * as RunModule from "../src/weatherlight/run/grow.js";
import { eventsOf, runScript, ScriptedPolicy, type ScriptedSeed } from "./support/scripted-growth.js";

const dataset = makeSpirals({ seed: 3, train: 240, test: 60 });
const BATCH = 54;
const STEPS_PER_EPOCH = 4;
const EPOCHS = 14;

/** Gates that let every seed through: it is the engine that is tested. */
const config = parseConfig({
  kernel: { latencyBudgetMs: 600_000 },
  leadSteps: 1,
  embargoMs: 10,
  gates: { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 1e6 },
  isolation: { everySteps: 5 },
});

const RAMP_STEPS = 6;
const SEED: ScriptedSeed = {
  seedId: "seed-1",
  slotId: "block1",
  blueprintId: "mlp-residual",
  parameters: { hidden: 4 },
  until: "FOSSILIZED",
  blend: { ...DEFAULT_BLEND, schedule: { steps: RAMP_STEPS, curve: "linear" } },
};

function setupOn(backend: Backend): Omit<RunSetup, "policy"> {
  return {
    runId: "on-a-device",
    host: resmlp({ ...dataset, width: 6 }),
    dataset,
    backend,
    epochs: EPOCHS,
    batch: BATCH,
    seed: 5,
    config,
  };
}

interface Trail {
  readonly losses: readonly number[];
  readonly stages: ReadonlyMap<string, number>;
  readonly checkpoint: RunCheckpoint;
  readonly steps: number;
}

/** The loss of every step, and where each stage began. */
async function grown(setup: Omit<RunSetup, "policy">): Promise<Trail> {
  const losses: number[] = [];
  const { result, error, packets } = await runScript(
    { ...setup, onLoss: (_, loss) => void losses.push(loss) },
    [SEED],
  );
  if (!result) throw error;
  const stages = new Map(
    eventsOf(packets, "seed_stage").map(({ attributes, step }) => [String(attributes.to), step]),
  );
  return { losses, stages, checkpoint: result.checkpoint, steps: result.steps };
}

describe.skipIf(!adapter)("on a device", () => {
  let backend: GpuBackend;
  let root = "";
  beforeAll(async () => {
    backend = await createGpuBackend();
    root = await mkdtemp(join(tmpdir(), "kasmina-gpu-"));
  });
  afterAll(async () => {
    await backend.dispose();
    await rm(root, { recursive: true, force: true });
  });

  describe("a seed that is kept", () => {
    let whole: Trail;
    const taken: RunCheckpoint[] = [];
    beforeAll(async () => {
      const setup = { ...setupOn(backend), checkpointEvery: { steps: 7 } };
      whole = await grown({ ...setup, onCheckpoint: async (one) => void taken.push(one) });
    });

    test("goes through every stage in at most 60 steps, and nothing of it is left on the device", () => {
      expect([...whole.stages.keys()]).toEqual(
        expect.arrayContaining(["TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"]),
      );
      expect(whole.steps).toBe(EPOCHS * STEPS_PER_EPOCH);
      expect(whole.losses.every(Number.isFinite)).toBe(true);
      expect(backend.device.tensors).toBe(0);
    });

    test("gives the same bits again", async () => {
      const again = await grown(setupOn(backend));
      expect(again.losses).toEqual(whole.losses);
      expect(again.checkpoint.tensors).toEqual(whole.checkpoint.tensors);
    });

    test("resumed within its ramp, ends with the same bits", async () => {
      const ramp = whole.stages.get("BLENDING") ?? 0;
      const resume = taken.find(({ step }) => step > ramp && step < ramp + RAMP_STEPS + STEPS_PER_EPOCH);
      expect(resume).toBeDefined();
      const rest = await grown({ ...setupOn(backend), ...(resume && { resume }) });
      expect(rest.losses).toEqual(whole.losses.slice(resume?.step));
      expect(rest.checkpoint.tensors).toEqual(whole.checkpoint.tensors);
    });

    test("learns as on the CPU", async () => {
      const native = await createNativeBackend({ threads: 1 });
      const there = await grown(setupOn(native));
      await native.dispose();
      expect(there.stages).toEqual(whole.stages);
      const apart = there.losses.map((loss, i) => Math.abs(loss / (whole.losses[i] ?? Number.NaN) - 1));
      expect(Math.max(...apart)).toBeLessThan(1e-3);
    });
  });

  test("a seed that is culled gives its memory back", async () => {
    class Culling extends ScriptedPolicy {
      override decide(state: SystemState): readonly Decision[] {
        const seed = state.seeds.find(({ stage }) => stage === "BLENDING");
        if (!seed?.rampDone) return super.decide(state);
        const basis = { why: "as the test says", logits: [0, 1], seedId: seed.id };
        return [{ ...basis, action: "cull", expectedStage: "BLENDING" }];
      }
    }
    const held: number[] = [];
    const stages: string[] = [];
    await trainRun({
      ...setupOn(backend),
      policy: new Culling([SEED]),
      reportEverySteps: 1,
      onStep: () => void held.push(backend.device.bytes),
      onEvent: ({ name, attributes }) => void (name === "seed_stage" && stages.push(String(attributes.to))),
    });
    expect(stages).toEqual(expect.arrayContaining(["BLENDING", "CULLED", "DORMANT"]));
    const [alone = 0] = held;
    expect(Math.max(...held)).toBeGreaterThan(alone);
    expect(held.at(-1)).toBe(alone);
    expect(backend.device.tensors).toBe(0);
  });

  test("no program that a run goes through brings anything of the state back", async () => {
    const read: number[] = [];
    const watched = wrapBackend(backend, {
      program: (program) =>
        wrapProgram(program, async (...given) => {
          const before = backend.device.downloadedBytes;
          const outputs = await program.run(...given);
          // A kernel is timed while the state is being read for a checkpoint; the programs of the training are not.
          if (!program.traced.definition.name.startsWith("prewarm"))
            read.push(backend.device.downloadedBytes - before);
          return outputs;
        }),
    });
    const { stages } = await grown(setupOn(watched));
    expect([...stages.keys()]).toContain("FOSSILIZED");
    expect(read.length).toBeGreaterThan(EPOCHS * STEPS_PER_EPOCH);
    expect(read.every((bytes) => bytes === 0)).toBe(true);
  });

  test("a parameter that turns to NaN is noticed, and the run returns to the last good state", async () => {
    const poison = 9;
    const { result, packets } = await runScript({ ...setupOn(poisoned(backend, poison)), epochs: 5 }, []);
    const [restored] = eventsOf(packets, "rollback_restored");
    expect(restored?.attributes).toMatchObject({ source: "memory", cause: "loss_not_finite" });
    expect(result?.end).toBe("finished");
    expect(Number.isFinite(result?.testLoss)).toBe(true);
  });

  test("a GPU that is lost leaves the checkpoint, from which the run goes on without one", async () => {
    const { grow } = (await import(
      new URL("../dist/weatherlight/run/grow.js", import.meta.url).href
    )) as typeof RunModule;
    const runDir = join(root, "lost");
    const asked = { data: "spirals", epochs: 1, runDir, checkpointEvery: "5steps", growth: false } as const;
    const lost = losing(backend, 13);
    await expect(grow({ ...asked, engine: lost })).rejects.toThrow(/the GPU was lost/);
    await expect(grow({ resume: runDir, engine: "auto" })).rejects.toThrow(/the run began on gpu, got auto/);
    const notices: string[] = [];
    const rest = await grow({
      resume: runDir,
      engine: "native",
      onNotice: (text) => void notices.push(text),
    });
    expect(notices).toContain("the run began on gpu and goes on on native: no replay will have its bits");
    expect(notices.some((text) => / at step 10$/.test(text))).toBe(true);
    expect(rest).toMatchObject({ ended: "finished", engine: "native", steps: 36 });
  });

  test("what it grew predicts there, and as an ONNX file elsewhere", async () => {
    const { grow } = await import("../src/weatherlight/run/grow.js");
    const { network } = await grow({
      data: dataset,
      engine: backend,
      epochs: 1,
      batch: BATCH,
      growth: false,
    });
    const rows = dataset.test.inputs as Float32Array;
    const { value: there } = await network.outputs(rows).next();
    const file = await OnnxFile.open(await network.toOnnx());
    const { value: elsewhere } = await file.outputs(rows).next();
    await file.close();
    expect(there?.length).toBe(dataset.test.count * dataset.classes);
    const apart = [...(there ?? [])].map((value: number, i) =>
      Math.abs(value - (elsewhere?.[i] ?? Number.NaN)),
    );
    expect(Math.max(...apart)).toBeLessThan(1e-4);
  });

  describe("no operator would run on the CPU", () => {
    test.each(topologies())("$name", async ({ topology }) => {
      const monitor = { batch: 4, rows: 2, coordinates: 16 };
      for (const optimizer of Object.values(OPTIMIZERS)) {
        const options = { optimizer, trainBatch: 4, evaluationBatch: 6, monitor };
        const { train, evaluate, probe } = definitionsOf(topology, options);
        // A program of which one node would is not compiled: ONNX Runtime reads its own assignment and refuses.
        for (const definition of probe ? [train, evaluate, probe] : [train, evaluate])
          (await backend.compile(trace(definition))).dispose();
      }
    });
  });
});

/** Before that run of a training step a parameter of the host is NaN. */
function poisoned(backend: Backend, at: number): Backend {
  let steps = 0;
  return wrapBackend(backend, {
    program: (program) =>
      wrapProgram(program, (state, ...given) => {
        const path = state.paths.find((one) => one.startsWith("host/"));
        const spec = path === undefined ? undefined : program.traced.definition.state[path];
        if (program.traced.definition.update && path !== undefined && spec && ++steps === at)
          state.write({ [path]: float32(spec.shape, Number.NaN) });
        return program.run(state, ...given);
      }),
  });
}

/** From that training step on, the device is gone. */
function losing(backend: Backend, at: number): Backend {
  let steps = 0;
  return wrapBackend(backend, {
    program: (program) =>
      wrapProgram(program, async (state, ...given) => {
        if (program.traced.definition.update) steps++;
        if (steps >= at)
          throw new KasminaError("engine", "running a step on the gpu engine: the GPU was lost");
        return program.run(state, ...given);
      }),
  });
}

/** Every host alone and with every blueprint in every part, and what differs by task and loss. */
function topologies(): { readonly name: string; readonly topology: Topology }[] {
  const images: HostTask = { inputShape: [8, 8, 2], classes: 3 };
  const text: HostTask = { inputShape: [6], classes: 7, inputDType: "int32" };
  const parts: readonly SeedPart[] = ["shadow", "blending", "probationary"];
  const withSeeds = HOST_IDS.flatMap((id) => {
    const task = id === "charlm" ? text : images;
    const alone: Topology = { host: createHost(id, task), sites: [], hostGradient: "flow" };
    const [slot] = slotsOf(alone.host);
    const blueprints = builtinBlueprints.ids.filter((blueprint) =>
      builtinBlueprints.get(blueprint).supports(slot?.shape ?? []),
    );
    const seeded = blueprints.flatMap((blueprintId) =>
      parts.map((part) => {
        const blueprint = builtinBlueprints.get(blueprintId);
        const parameters = Object.fromEntries(
          Object.entries(blueprint.bounds).map(([name, { min }]) => [name, min]),
        );
        const site = { seedId: "s1", slotId: slot?.id ?? "", blueprint, parameters, part };
        return { name: `${id} with ${blueprintId}, ${part}`, topology: { ...alone, sites: [site] } };
      }),
    );
    return [{ name: `${id} alone`, topology: alone }, ...seeded];
  });
  const ofTask = (task: "regression" | "multilabel", loss: object = {}) => ({
    name: `${task} ${JSON.stringify(loss)}`,
    topology: {
      host: createHost("resmlp", { ...images, task }),
      sites: [],
      hostGradient: "detach" as const,
      loss: { task, ...loss },
    },
  });
  const larger: HostTask = { inputShape: [128, 128, 1], classes: 3 };
  const classes = { host: createHost("resconv", images), sites: [], hostGradient: "detach" as const };
  return [
    ...withSeeds,
    ofTask("regression"),
    ofTask("regression", { huberDelta: 1 }),
    ofTask("multilabel"),
    {
      name: "weighted classes",
      topology: { ...classes, loss: { classWeights: [1, 2, 3], labelSmoothing: 0.1 } },
    },
    { name: "clipped", topology: { ...classes, clipNorm: 1 } },
    { name: "larger images", topology: { ...classes, host: createHost("resconv", larger) } },
    ...[classes, ofTask("regression").topology, ofTask("multilabel").topology].map((topology, i) => ({
      name: `with a teacher ${i + 1}`,
      topology: { ...topology, teacher: { id: "t", topology } },
    })),
  ];
}
