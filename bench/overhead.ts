/**
 * What Kasmina costs a user who does not need it at the moment, on the native engine and the MNIST perceptron, whose
 * step is the shortest of the hosts: its whole loop over a bare loop of the same program; and the step of a net with a
 * fossilized seed over the same architecture written as one net.
 *
 * Arguments: --rounds 9
 */

import { parseArgs } from "node:util";
import { KasminaError } from "kasmina/base";
import { resolveParameters } from "kasmina/contracts";
import { type Dataset, openDataset, ShuffledBatches } from "kasmina/data";
import { type Backend, type Program, trace, wrapBackend, wrapProgram } from "kasmina/engine";
import { createNativeBackend } from "kasmina/engine/native";
import type { SeedSite } from "kasmina/network";
import {
  type Blueprint,
  builtinBlueprints,
  createHost,
  defineBlock,
  defineHost,
  type Host,
} from "kasmina/nn";
import { grow } from "kasmina/weatherlight";
import { netOf } from "./engine/engine-nets.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "./engine/turns.js";
import { type Measurement, median } from "./measurement.js";

const BATCH = 64;

export const overhead: Measurement = {
  name: "overhead",
  summary: "Kasmina's loop over a bare one, a grown net over the same net written by hand",
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: { rounds: { type: "string", default: "9" } },
    });
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1) {
      throw new KasminaError("invalid_argument", "--rounds must be a whole number above 0");
    }
    const backend = await createNativeBackend();
    const loops = await compareLoops(backend, rounds);
    const nets = await compareNets(backend, rounds);
    await backend.dispose();
    return { ...loops, ...nets };
  },
};

/** An epoch of a run without a policy, and as many bare steps on the same batches, in turn. */
async function compareLoops(backend: Backend, rounds: number) {
  const dataset = await openDataset("mnist", { seed: 0 });
  const host = createHost("resmlp", dataset);
  const net = netOf(host, BATCH);
  const batches = new ShuffledBatches(dataset, { batch: BATCH, seed: 0 });
  const program = await backend.compile(trace(net.definition));
  const state = backend.createState();
  state.write(net.state);
  const times = { kasmina: [] as number[], bare: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    const steps = await stepsOfRun(backend, host, dataset);
    const alone: number[] = [];
    for (const step of steps.keys()) {
      const startMs = performance.now();
      const { inputs, labels } = batches.at(step);
      await program.run(state, { x: inputs, y: labels }, net.controls);
      alone.push(performance.now() - startMs);
    }
    if (round < 0) continue; // warm-up
    times.kasmina.push(median(steps));
    times.bare.push(median(alone));
  }
  return {
    no_seed_ratio: round3(ratioOf(times.kasmina, times.bare)),
    kasmina_step_ms: round3(median(times.kasmina)),
    bare_step_ms: round3(median(times.bare)),
  };
}

/** Milliseconds from the end of each step of an epoch to the end of the next. */
async function stepsOfRun(backend: Backend, host: Host, dataset: Dataset): Promise<number[]> {
  const ends: number[] = [];
  const watch = (program: Program): Program =>
    wrapProgram(program, async (state, batch, controls) => {
      const outputs = await program.run(state, batch, controls);
      if (program.traced.definition.name === "training step") ends.push(performance.now());
      return outputs;
    });
  await grow({
    runId: "overhead",
    host,
    data: dataset,
    epochs: 1,
    batch: BATCH,
    growth: false,
    engine: wrapBackend(backend, { program: watch }),
  });
  return ends.slice(1).map((end, i) => end - (ends[i] ?? 0));
}

async function compareNets(backend: Backend, rounds: number) {
  const host = createHost("resmlp", { inputShape: [28, 28, 1], classes: 10 });
  const blueprint = builtinBlueprints.get("mlp-residual");
  const parameters = resolveParameters(blueprint, {});
  const site: SeedSite = { seedId: "seed-1", slotId: "block1", blueprint, parameters, part: "grown" };
  const grown = netOf(host, BATCH, [site]);
  const written = netOf(withBlock(host, blueprint, parameters), BATCH);
  const turns = {
    grown: turnOf(await stepOn(backend, trace(grown.definition), grown)),
    written: turnOf(await stepOn(backend, trace(written.definition), written)),
  };
  const times = await takeTurns(turns, rounds);
  return {
    grown_ratio: round3(ratioOf(times.grown, times.written)),
    grown_step_ms: round3(median(times.grown)),
    written_step_ms: round3(median(times.written)),
  };
}

/** The host with h + k(h) after its first block with a slot. */
function withBlock(host: Host, blueprint: Blueprint, parameters: SeedSite["parameters"]): Host {
  const place = host.blocks.findIndex(({ slot }) => slot);
  const shape = host.blocks[place]?.outputShape ?? [];
  const block = defineBlock({
    name: "written",
    parameters: blueprint.parameters(shape, parameters),
    outputShape: shape,
    apply: (weights, h) => h.ref.add(blueprint.apply(weights, h, parameters)),
  });
  return defineHost({ ...host, blocks: host.blocks.toSpliced(place + 1, 0, block) });
}

function round3(value: number): number {
  return Number(value.toPrecision(3));
}
