/**
 * State on the device. What is written waits in this process's memory until a program needs it; what a program has made stays on
 * the device until it is read.
 */
import { KasminaError } from "../../../base/errors.js";
import {
  checkedTensor,
  type Tensor,
  type TensorData,
  type TensorSpec,
  type Tensors,
} from "../../../contracts/tensor.js";
import type { State } from "../../backend.js";
import type { DeviceTensor } from "./device-memory.js";
import type { Transfers } from "./transfers.js";

/** A tensor here, there, or at both places with the same elements. */
interface Entry {
  readonly spec: TensorSpec;
  host: TensorData | undefined;
  device: DeviceTensor | undefined;
}

export class DeviceState implements State {
  readonly #transfers: Transfers;
  readonly #entries = new Map<string, Entry>();
  #isRunning = false;

  constructor(transfers: Transfers) {
    this.#transfers = transfers;
  }

  get paths(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  /** Undefined where there is none. */
  specOf(path: string): TensorSpec | undefined {
    return this.#entries.get(path)?.spec;
  }

  async read(paths: readonly string[] = this.paths): Promise<Tensors> {
    this.#checkIdle();
    // Held before the first is copied: what a program or caller replaces meanwhile is still what was asked for.
    const taken = paths.map((path) => {
      const { spec, host, device } = this.#get(path);
      return { path, spec, host: host?.slice(), device: host ? undefined : device?.retain() };
    });
    const read: Record<string, Tensor> = {};
    try {
      for (const { path, spec, host, device } of taken) {
        const data = device ? await this.#transfers.download(device) : host;
        if (data) read[path] = { ...spec, data };
      }
    } finally {
      for (const { device } of taken) device?.release();
    }
    return read;
  }

  write(tensors: Tensors): void {
    this.#checkIdle();
    for (const tensor of Object.values(tensors)) checkedTensor(tensor);
    for (const [path, { shape, dtype, data }] of Object.entries(tensors)) {
      this.#entries.get(path)?.device?.release();
      this.#entries.set(path, {
        spec: { shape: [...shape], dtype },
        host: data.slice(),
        device: undefined,
      });
    }
  }

  rename(from: string, to: string): void {
    this.#checkIdle();
    const entry = this.#get(from);
    if (this.#entries.has(to)) throw new KasminaError("engine", `state already has ${to}`);
    this.#entries.delete(from);
    this.#entries.set(to, entry);
  }

  remove(paths: readonly string[]): void {
    this.#checkIdle();
    for (const path of paths) this.#get(path);
    for (const path of paths) this.#forget(path);
  }

  dispose(): void {
    for (const path of this.paths) this.#forget(path);
  }

  /** Holds off every other use while a program runs. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#checkIdle();
    this.#isRunning = true;
    try {
      return await work();
    } finally {
      this.#isRunning = false;
    }
  }

  /** The tensor on the device, brought there where it is not. It stays the state's. */
  async onDevice(path: string): Promise<DeviceTensor> {
    const entry = this.#get(path);
    if (entry.device) return entry.device;
    if (!entry.host) throw new KasminaError("illegal_state", `the tensor at ${path} is nowhere`);
    entry.device = await this.#transfers.upload({ ...entry.spec, data: entry.host });
    entry.host = undefined;
    return entry.device;
  }

  /** The number at the path of a scalar. */
  async numberAt(path: string): Promise<number> {
    const entry = this.#get(path);
    entry.host ??= entry.device && (await this.#transfers.download(entry.device));
    return entry.host?.[0] ?? Number.NaN;
  }

  /** Puts what a program has made, of the same shape, in the place of what is there, and takes it over. */
  replace(path: string, device: DeviceTensor): void {
    const entry = this.#get(path);
    entry.device?.release();
    entry.device = device;
    entry.host = undefined;
  }

  /** Puts a number in the place of a scalar. */
  replaceNumber(path: string, value: number): void {
    const entry = this.#get(path);
    entry.device?.release();
    entry.device = undefined;
    entry.host = Float32Array.of(value);
  }

  #get(path: string): Entry {
    const entry = this.#entries.get(path);
    if (!entry) throw new KasminaError("engine", `state has no ${path}`);
    return entry;
  }

  #forget(path: string): void {
    this.#entries.get(path)?.device?.release();
    this.#entries.delete(path);
  }

  #checkIdle(): void {
    if (this.#isRunning) {
      throw new KasminaError("illegal_state", "the state is in use by a program that is still running");
    }
  }
}

/** @throws KasminaError `engine` for the state of another kind of back end */
export function asDeviceState(state: State): DeviceState {
  if (state instanceof DeviceState) return state;
  throw new KasminaError("engine", "this state belongs to another back end");
}
