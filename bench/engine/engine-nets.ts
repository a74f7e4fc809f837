/** The training steps that the engines are compared on: every host, at the size a run has, with Adam. */

import { Random } from "kasmina/base";
import { float32, int32, scalar, sizeOf, type Tensors } from "kasmina/contracts";
import type { ProgramDefinition } from "kasmina/engine";
import { batchSpecs, type SeedSite, seedPath, slotShape, type Topology } from "kasmina/network";
import { createHost, type Host, initHost, initKernel } from "kasmina/nn";
import { OPTIMIZERS, type Optimizer, optimizerSpecs, trainStepProgram } from "kasmina/tolaria";

export interface BenchNet {
  readonly name: string;
  readonly definition: ProgramDefinition;
  readonly state: Tensors;
  readonly batch: Tensors;
  readonly controls: Tensors;
}

const IMAGES = { inputShape: [28, 28, 1], classes: 10 };
const TEXT = { inputShape: [64], classes: 65, inputDType: "int32" as const };
/** Blend weights of a seed that is wholly in. */
const BLENDED = 1;
const HYPER: Readonly<Record<string, number>> = { lr: 0.001, momentum: 0.9, weight_decay: 0 };

export function benchNets(): BenchNet[] {
  return [
    netOf(createHost("resmlp", IMAGES), 64),
    netOf(createHost("resconv", IMAGES), 64),
    netOf(createHost("charlm", TEXT), 16),
  ];
}

/**
 * The training step of a host, grown or not, with everything that it needs.
 * @param prefix leading blocks that were carried out before: the batch is what they give
 */
export function netOf(
  host: Host,
  batch: number,
  sites: readonly SeedSite[] = [],
  optimizer: Optimizer = OPTIMIZERS.adam,
  prefix = 0,
): BenchNet {
  const topology: Topology = { host, sites, hostGradient: "detach" };
  const definition = trainStepProgram(topology, optimizer, batch, prefix);
  const parameters: Tensors = Object.assign(
    initHost(host, 1),
    ...sites.map((site) => kernelOf(topology, site)),
  );
  const slots = Object.entries(optimizerSpecs(optimizer, parameters));
  const blend = Object.entries(definition.controls).map(([name, { shape }]) => [
    name,
    float32(shape, BLENDED),
  ]);
  const targets = Object.values(definition.update?.targets ?? {});
  const settings = targets.flatMap((target) => Object.values(target.settings));
  const hyper = settings.map((name) => [name, scalar(HYPER[name.split("/").at(-1) ?? ""] ?? 0)]);
  return {
    name: host.id,
    definition,
    state: { ...parameters, ...Object.fromEntries(slots.map(([path, { shape }]) => [path, float32(shape)])) },
    batch: batchOf(host, batch, prefix),
    controls: Object.fromEntries([...blend, ...hyper]),
  };
}

function kernelOf(topology: Topology, site: SeedSite): Tensors {
  const kernel = Object.entries(initKernel(site.blueprint, slotShape(topology, site), site.parameters, 1));
  return Object.fromEntries(kernel.map(([name, tensor]) => [seedPath(site, name), tensor]));
}

function batchOf(host: Host, batch: number, prefix: number): Tensors {
  const random = new Random(7);
  const { x, y } = batchSpecs(host, batch, {}, prefix);
  const whole = (shape: readonly number[]) =>
    int32(
      shape,
      Int32Array.from({ length: sizeOf(shape) }, () => random.below(host.classes)),
    );
  const values = Float32Array.from({ length: sizeOf(x.shape) }, () => random.uniform());
  return { x: x.dtype === "int32" ? whole(x.shape) : float32(x.shape, values), y: whole(y.shape) };
}
