/**
 * What the isolation monitor costs: its probe against the training step, in one run, and its memory against the size
 * of the host. The figures hold for the seeds of each case, on the shapes of MNIST and spirals.
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Random } from "kasmina/base";
import {
  DEFAULT_BLEND,
  float32,
  int32,
  resolveParameters,
  type SeedPart,
  type Tensor,
  type Tensors,
} from "kasmina/contracts";
import { type Backend, openBackend, trace } from "kasmina/engine";
import { blendWeights, parseConfig } from "kasmina/kasmina";
import {
  blendTensors,
  IsolationMonitor,
  inquiryProgram,
  monitoredRows,
  type SeedSite,
  sampleCoordinates,
  slotShape,
  type Topology,
} from "kasmina/network";
import {
  builtinBlueprints,
  countHostParameters,
  createHost,
  type Host,
  initHost,
  initKernel,
  resmlp,
} from "kasmina/nn";
import { HyperControls, ModelState, OPTIMIZERS, trainStepProgram } from "kasmina/tolaria";
import { type Figures, type Measurement, median } from "./measurement.js";

const BATCH = 128;
const MNIST = { inputShape: [28, 28, 1], classes: 10 };
/** The smallest task that comes with Kasmina: the fixed cost of a run of a program weighs most here. */
const SPIRALS = { inputShape: [2], classes: 2 };
const SPIRALS_BATCH = 50;
const HYPER = { learningRate: 0.001, momentum: 0.9, weightDecay: 0 };
const OPTIMIZER = OPTIMIZERS.adam;
const ROUNDS = 15;
const STEPS_A_ROUND = 10;

const { everySteps, sampleCoordinates: COORDINATES } = parseConfig().isolation;

interface Bench {
  readonly step: () => Promise<void>;
  /** Compiles the monitor and gives its probe. */
  readonly watch: () => Promise<() => Promise<void>>;
}

function topologyFor(host: Host, parts: readonly SeedPart[]): Topology {
  const slots = host.blocks.filter(({ slot }) => slot);
  const sites = parts.map((part, i): SeedSite => {
    const slot = slots[i % slots.length];
    const blueprint = builtinBlueprints.get(
      slot?.outputShape.length === 3 ? "conv-residual" : "mlp-residual",
    );
    return {
      seedId: `s${i}`,
      slotId: slot?.name ?? "",
      blueprint,
      parameters: resolveParameters(blueprint),
      part,
    };
  });
  return { host, sites, hostGradient: "detach" };
}

async function open(backend: Backend, topology: Topology, batch: number): Promise<Bench> {
  const train = await backend.compile(trace(trainStepProgram(topology, OPTIMIZER, batch)));
  const model = new ModelState(backend, OPTIMIZER);
  model.add(initHost(topology.host, 0));
  for (const site of topology.sites) {
    model.addSeed(site.seedId, initKernel(site.blueprint, slotShape(topology, site), site.parameters, 0));
  }
  const rows = batchOf(topology.host, batch);
  const controls = controlsOf(topology);
  return {
    step: async () => void (await train.run(model.state, rows, controls)),
    watch: async () => {
      const options = { batch, rows: monitoredRows(batch), coordinates: COORDINATES };
      const monitor = await IsolationMonitor.compile(backend, topology, options);
      return async () => {
        const { readings } = await monitor.check(model.state, rows, controls);
        if (readings.some(({ leakRatio }) => leakRatio !== 0)) throw new Error("a clean network leaks");
      };
    },
  };
}

function batchOf({ inputShape, classes }: Host, batch: number): Tensors {
  const random = new Random(0);
  const size = inputShape.reduce((product, axis) => product * axis, 1);
  return {
    x: float32(
      [batch, ...inputShape],
      Float32Array.from({ length: batch * size }, () => random.uniform()),
    ),
    y: int32(
      [batch],
      Int32Array.from({ length: batch }, () => random.below(classes)),
    ),
  };
}

function controlsOf(topology: Topology): Tensors {
  const groups = ["host", ...topology.sites.map(({ seedId }) => seedId)];
  const controls: Record<string, Tensor> = new HyperControls(HYPER, { id: "constant", totalSteps: 1 }).at(
    0,
    groups,
  );
  for (const site of topology.sites) {
    const channels = slotShape(topology, site).at(-1) ?? 1;
    Object.assign(controls, blendTensors(site, blendWeights(DEFAULT_BLEND, 0.5, channels)));
  }
  return controls;
}

/** Median milliseconds of a step and of a probe, taken in turns so that both meet the same machine. */
async function time({ step, watch }: Bench): Promise<Figures> {
  const probe = await watch();
  const steps: number[] = [];
  const probes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < STEPS_A_ROUND; i++) steps.push(await milliseconds(step));
    // The first probe after other work pays for cold caches; so it does in a run, where all but one step are training.
    probes.push(await milliseconds(probe));
  }
  const [stepMs, probeMs] = [median(steps), median(probes.slice(1))];
  return { step_ms: stepMs, probe_ms: probeMs, overhead_ratio: probeMs / (everySteps * stepMs) };
}

async function milliseconds(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/**
 * What the monitor of a host keeps: coordinates compared, bytes read from a probe and from an inquiry, and by how
 * much the process grows once it runs in parallel with the training step.
 */
async function memoryOf(backend: Backend, host: Host): Promise<Figures> {
  const topology = topologyFor(host, ["shadow"]);
  const sample = sampleCoordinates(topology, COORDINATES);
  const coordinates = sample.reduce((sum, { indices }) => sum + indices.length, 0);
  const options = { batch: BATCH, rows: monitoredRows(BATCH), coordinates: COORDINATES };
  const inquiry = trace(inquiryProgram(topology, options));
  const read = inquiry.outputs.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const { step, watch } = await open(backend, topology, BATCH);
  for (let i = 0; i < STEPS_A_ROUND; i++) await step();
  const before = await residentMb();
  const probe = await watch();
  for (let i = 0; i < STEPS_A_ROUND; i++) await probe();
  return {
    host_parameters: countHostParameters(host),
    coordinates,
    probe_bytes: 2 * Float32Array.BYTES_PER_ELEMENT * coordinates,
    inquiry_bytes: Float32Array.BYTES_PER_ELEMENT * read,
    process_growth_mb: (await residentMb()) - before,
  };
}

/** Resident memory of the process, after what nobody holds any more is freed (buffers are, a turn later). */
async function residentMb(): Promise<number> {
  setFlagsFromString("--expose-gc");
  for (let i = 0; i < 3; i++) {
    runInNewContext("gc")();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage().rss / 2 ** 20;
}

async function measure(): Promise<Figures> {
  const { backend } = await openBackend("auto");
  const cases: readonly [string, Host, readonly SeedPart[], number][] = [
    ["resmlp_training", createHost("resmlp", MNIST), ["shadow"], BATCH],
    ["resmlp_blending", createHost("resmlp", MNIST), ["blending"], BATCH],
    ["resmlp_three_seeds", createHost("resmlp", MNIST), ["shadow", "blending", "shadow"], BATCH],
    ["resconv_training", createHost("resconv", MNIST), ["shadow"], BATCH],
    ["resmlp_on_spirals", createHost("resmlp", SPIRALS), ["blending"], SPIRALS_BATCH],
  ];
  const figures: Record<string, Figures> = {};
  let worst = 0;
  for (const [name, host, parts, batch] of cases) {
    const bench = await open(backend, topologyFor(host, parts), batch);
    const timed = await time(bench);
    figures[name] = timed;
    worst = Math.max(worst, Number(timed.overhead_ratio));
  }
  const small = await memoryOf(backend, resmlp({ ...MNIST, width: 11 }));
  const large = await memoryOf(backend, resmlp({ ...MNIST, width: 1_500 }));
  await backend.dispose();
  return {
    engine: backend.name,
    batch: BATCH,
    every_steps: everySteps,
    rows: monitoredRows(BATCH),
    /** The largest of the cases. */
    overhead_ratio: worst,
    ...figures,
    memory_small: small,
    memory_large: large,
  };
}

export const isolation: Measurement = {
  name: "isolation",
  summary: "cost of the isolation monitor against the training step, and its memory against the host's size",
  run: measure,
};
