/** The controls that growth is held against: a fixed network trained for so many FLOPs, with nothing else counted. */

import { type Dataset, DEFAULT_BLEND, resolveParameters, type Tensor, type Tensors } from "kasmina/contracts";
import { OrderedBatches, ShuffledBatches } from "kasmina/data";
import { type Backend, trace } from "kasmina/engine";
import { blendWeights } from "kasmina/kasmina";
import {
  blendTensors,
  evaluationProgram,
  type SeedSite,
  seedPath,
  slotShape,
  type Topology,
} from "kasmina/network";
import { builtinBlueprints, type Host, initHost, initKernel } from "kasmina/nn";
import type { Arm } from "kasmina/tamiyo";
import { evaluateRows, HyperControls, ModelState, OPTIMIZERS, trainStepProgram } from "kasmina/tolaria";

const OPTIMIZER = OPTIMIZERS.adam;
const EVALUATION_BATCH = 256;

export interface FixedTraining {
  readonly backend: Backend;
  readonly dataset: Dataset;
  readonly host: Host;
  /** Zero-initialised blocks that are part of the network from the first step. */
  readonly blocks: readonly Arm[];
  /** Parameters of the host to begin with. Default: fresh ones. */
  readonly initial?: Tensors;
  readonly batch: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Spent on training steps alone, rounded up to whole steps; its evaluations are free. */
  readonly flops: number;
}

export interface Score {
  readonly accuracy: number;
  readonly loss: number;
}

/** Trains with the optimizer, batches, initial weights and cosine schedule of a growth run; scores on the test rows. */
export async function trainFixed(training: FixedTraining): Promise<Score> {
  const {
    backend,
    dataset,
    host,
    batch,
    learningRate,
    seed,
    flops,
    initial = initHost(host, seed),
  } = training;
  const topology = topologyOf(training);
  const step = await backend.compile(trace(trainStepProgram(topology, OPTIMIZER, batch)));
  const evaluate = await backend.compile(trace(evaluationProgram(topology, EVALUATION_BATCH)));
  const steps = Math.ceil(flops / step.traced.flops);
  const model = new ModelState(backend, OPTIMIZER);
  model.add(initial);
  for (const site of topology.sites) model.add(blockParameters(topology, site, seed));
  const blend = fullBlend(topology);
  const { lr: _, ...defaults } = OPTIMIZER.defaults;
  const hyper = new HyperControls({ learningRate, ...defaults }, { id: "cosine", totalSteps: steps });
  const batches = new ShuffledBatches(dataset, { batch, seed });
  for (let i = 0; i < steps; i++) {
    const { inputs, labels } = batches.at(i);
    await step.run(model.state, { x: inputs, y: labels }, { ...blend, ...hyper.at(i, ["host"]) });
  }
  const rows = new OrderedBatches(dataset.test, dataset.inputShape, EVALUATION_BATCH);
  const { score, loss } = await evaluateRows(evaluate, topology, model.state, rows, blend);
  model.dispose();
  step.dispose();
  evaluate.dispose();
  return { accuracy: score.value, loss: loss.value };
}

function topologyOf({ host, blocks }: FixedTraining): Topology {
  const sites = blocks.map(({ slotId, candidate }, i): SeedSite => {
    const blueprint = builtinBlueprints.get(candidate.id);
    const parameters = resolveParameters(blueprint, candidate.parameters);
    return { seedId: `block-${i}`, slotId, blueprint, parameters, part: "grown" };
  });
  return { host, sites, hostGradient: "detach" };
}

function blockParameters(topology: Topology, site: SeedSite, seed: number) {
  const kernel = initKernel(site.blueprint, slotShape(topology, site), site.parameters, seed + 1);
  const entries = Object.entries(kernel);
  return Object.fromEntries(entries.map(([name, tensor]) => [seedPath(site, name), tensor]));
}

function fullBlend(topology: Topology): Record<string, Tensor> {
  const controls: Record<string, Tensor> = {};
  for (const site of topology.sites) {
    const channels = slotShape(topology, site).at(-1) ?? 1;
    Object.assign(controls, blendTensors(site, blendWeights(DEFAULT_BLEND, 1, channels)));
  }
  return controls;
}
