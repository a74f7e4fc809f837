/** A program on the device: its step, then the update of what has a gradient. The state changes once both have succeeded. */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../../base/errors.js";
import {
  formatSpec,
  sameSpec,
  type Tensor,
  type TensorData,
  type TensorSpec,
  type Tensors,
} from "../../../contracts/tensor.js";
import type { Program, State } from "../../backend.js";
import type { InputRole, TracedProgram } from "../../trace.js";
import type { UpdatePlan } from "../../update/rule.js";
import { countPaths, scalarVectors } from "../../update/traced-update.js";
import type { Ort } from "../ort.js";
import { ortTensor } from "../session.js";
import type { Lease } from "../session-cache.js";
import type { DeviceMemory, DeviceTensor } from "./device-memory.js";
import { runError } from "./device-session.js";
import { asDeviceState, type DeviceState } from "./device-state.js";

/** What each input is fed with. A tensor in this process's memory is sent to the device. */
type Sources = { readonly [R in InputRole]: (name: string) => OrtTensor | Tensor | undefined };

/** A traced program with its session. */
export class DeviceStep {
  readonly traced: TracedProgram;
  /** Of an update: what it carries out. */
  readonly plan: UpdatePlan | undefined;
  readonly #ort: Ort;
  readonly #lease: Lease;

  constructor(ort: Ort, traced: TracedProgram, lease: Lease, plan?: UpdatePlan) {
    this.#ort = ort;
    this.traced = traced;
    this.#lease = lease;
    this.plan = plan;
  }

  /** The outputs, in order. */
  async run(sources: Sources): Promise<readonly OrtTensor[]> {
    const feeds = this.traced.inputs.map(({ role, name }, i): [string, OrtTensor] => {
      const given = tensorAt(sources[role](name), name);
      return [`i${i}`, "location" in given ? given : ortTensor(this.#ort, given)];
    });
    let results: Readonly<Record<string, OrtTensor>>;
    try {
      results = await this.#lease.session.run(Object.fromEntries(feeds));
    } catch (error) {
      throw runError(this.traced, error);
    }
    return this.traced.outputs.map((_, i) => {
      const result = results[`o${i}`];
      if (!result) throw new KasminaError("engine", `ONNX Runtime returned no o${i}`);
      return result;
    });
  }

  release(): void {
    this.#lease.release();
  }
}

/** Tensors on the device by path. */
type DeviceTensors = Record<string, DeviceTensor>;

/** What a step has made. */
interface Made {
  readonly state: DeviceTensors;
  readonly gradients: DeviceTensors;
  readonly read: Record<string, Tensor>;
}

export class GpuProgram implements Program {
  readonly traced: TracedProgram;
  readonly #memory: DeviceMemory;
  readonly #step: DeviceStep;
  readonly #update: DeviceStep | undefined;
  #isDisposed = false;

  constructor(traced: TracedProgram, memory: DeviceMemory, step: DeviceStep, update: DeviceStep | undefined) {
    this.traced = traced;
    this.#memory = memory;
    this.#step = step;
    this.#update = update;
  }

  async run(state: State, batch: Tensors, controls: Tensors): Promise<Readonly<Record<string, Tensor>>> {
    const { name } = this.traced.definition;
    if (this.#isDisposed) throw new KasminaError("illegal_state", `program ${name} is disposed`);
    const device = asDeviceState(state);
    return device.exclusively(() => this.#run(device, batch, controls));
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#step.release();
    this.#update?.release();
  }

  async #run(state: DeviceState, batch: Tensors, controls: Tensors): Promise<Record<string, Tensor>> {
    this.#check(state, batch, controls);
    const counts = await this.#nextCounts(state);
    const plan = this.#update?.plan;
    const scalars = plan && scalarVectors(plan, controls, counts, this.traced.definition.name);

    const held: DeviceTensor[] = [];
    try {
      const made = await this.#runStep(state, batch, controls, held);
      const updated = scalars ? await this.#runUpdate(state, made, scalars, held) : {};
      for (const [path, tensor] of Object.entries({ ...made.state, ...updated }))
        state.replace(path, tensor.retain());
      for (const [path, count] of Object.entries(counts)) state.replaceNumber(path, count);
      return made.read;
    } finally {
      for (const tensor of held) tensor.release();
    }
  }

  async #nextCounts(state: DeviceState): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const path of this.#update?.plan ? countPaths(this.#update.plan) : [])
      counts[path] = (await state.numberAt(path)) + 1;
    return counts;
  }

  async #runStep(state: DeviceState, batch: Tensors, controls: Tensors, held: DeviceTensor[]): Promise<Made> {
    const resident = await this.#hold(this.#step, state, held);
    const results = await this.#step.run({
      state: (name) => resident[name]?.tensor,
      batch: (name) => batch[name],
      controls: (name) => controls[name],
    });
    const made: Made = { state: {}, gradients: {}, read: {} };
    for (const [i, { role, name, shape, dtype }] of this.traced.outputs.entries()) {
      const result = tensorAt(results[i], name);
      if (role === "output") made.read[name] = { shape, dtype, data: result.data as TensorData };
      else {
        const tensor = this.#memory.adopt(result, { shape, dtype });
        held.push(tensor);
        made[role === "state" ? "state" : "gradients"][name] = tensor;
      }
    }
    return made;
  }

  async #runUpdate(
    state: DeviceState,
    made: Made,
    scalars: Tensors,
    held: DeviceTensor[],
  ): Promise<DeviceTensors> {
    const update = this.#update;
    if (!update) return {};
    const resident = { ...(await this.#hold(update, state, held)), ...made.state };
    const results = await update.run({
      state: (name) => resident[name]?.tensor,
      batch: (name) => made.gradients[name]?.tensor,
      controls: (name) => scalars[name],
    });
    const updated: DeviceTensors = {};
    for (const [i, { name, shape, dtype }] of update.traced.outputs.entries()) {
      const tensor = this.#memory.adopt(tensorAt(results[i], name), { shape, dtype });
      held.push(tensor);
      updated[name] = tensor;
    }
    return updated;
  }

  /** The state that a step takes, held until the run is over: whoever disposes of it meanwhile does not take it away. */
  async #hold({ traced }: DeviceStep, state: DeviceState, held: DeviceTensor[]): Promise<DeviceTensors> {
    const resident: DeviceTensors = {};
    for (const { role, name } of traced.inputs) {
      if (role !== "state") continue;
      const tensor = (await state.onDevice(name)).retain();
      held.push(tensor);
      resident[name] = tensor;
    }
    return resident;
  }

  /** @throws KasminaError `engine` for what is missing or does not fit, before anything has run */
  #check(state: DeviceState, batch: Tensors, controls: Tensors): void {
    const specOf: { readonly [R in InputRole]: (name: string) => TensorSpec | undefined } = {
      state: (name) => state.specOf(name),
      batch: (name) => batch[name],
      controls: (name) => controls[name],
    };
    const updated = this.#update?.traced.inputs.filter(({ role }) => role === "state") ?? [];
    for (const input of [...this.traced.inputs, ...updated]) {
      const found = specOf[input.role](input.name);
      if (found && sameSpec(input, found)) continue;
      const needs = `${this.traced.definition.name} needs ${input.role} ${input.name} ${formatSpec(input)}`;
      throw new KasminaError(
        "engine",
        `${needs}, ${found ? `got ${formatSpec(found)}` : "which is missing"}`,
      );
    }
  }
}

function tensorAt<T>(tensor: T | undefined, name: string): T {
  if (tensor === undefined) throw new RangeError(`there is no tensor ${name}`);
  return tensor;
}
