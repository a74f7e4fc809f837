/** The training steps that the engines are compared on: every host, at the size a run has, with Adam. */
import { Random } from "kasmina/base";
import { float32, int32, sizeOf, type Tensor, type Tensors } from "kasmina/contracts";
import type { ProgramDefinition } from "kasmina/engine";
import { batchSpecs } from "kasmina/kasmina";
import { createHost, type Host, initHost } from "kasmina/nn";
import { OPTIMIZERS, optimizerSpecs, trainStepProgram } from "kasmina/tolaria";

export interface BenchNet {
  readonly name: string;
  readonly definition: ProgramDefinition;
  readonly state: Tensors;
  readonly batch: Tensors;
  readonly controls: Tensors;
}

const IMAGES = { inputShape: [28, 28, 1], classes: 10 };
const TEXT = { inputShape: [64], classes: 65, inputDType: "int32" as const };
const HYPER: Readonly<Record<string, number>> = { lr: 0.001, momentum: 0.9, weight_decay: 0 };

export function benchNets(): BenchNet[] {
  return [
    netOf(createHost("resmlp", IMAGES), 64),
    netOf(createHost("resconv", IMAGES), 64),
    netOf(createHost("charlm", TEXT), 16),
  ];
}

function netOf(host: Host, batch: number): BenchNet {
  const definition = trainStepProgram({ host, sites: [], hostGradient: "detach" }, OPTIMIZERS.adam, batch);
  const parameters = initHost(host, 1);
  const slots = Object.entries(optimizerSpecs(OPTIMIZERS.adam, parameters));
  const controls = Object.keys(definition.controls).map((name): [string, Tensor] => [
    name,
    float32([], [HYPER[name.split("/").at(-1) ?? ""] ?? 0]),
  ]);
  return {
    name: host.id,
    definition,
    state: { ...parameters, ...Object.fromEntries(slots.map(([path, { shape }]) => [path, float32(shape)])) },
    batch: batchOf(host, batch),
    controls: Object.fromEntries(controls),
  };
}

function batchOf(host: Host, batch: number): Tensors {
  const random = new Random(7);
  const { x, y } = batchSpecs(host, batch);
  const whole = (shape: readonly number[]) =>
    int32(
      shape,
      Int32Array.from({ length: sizeOf(shape) }, () => random.below(host.classes)),
    );
  const values = Float32Array.from({ length: sizeOf(x.shape) }, () => random.uniform());
  return { x: x.dtype === "int32" ? whole(x.shape) : float32(x.shape, values), y: whole(y.shape) };
}
