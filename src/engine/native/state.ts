/**
 * Tensors that stay where ONNX Runtime reads and writes them. A path that a program replaces has two buffers: a run
 * reads one and writes the other, then they change places, so nothing is allocated from step to step, and a run that
 * fails leaves the state as it was. (ONNX Runtime gives wrong numbers where one tensor is both fed and fetched.)
 */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import { checkedTensor, sizeOf, type Tensor, type TensorSpec, type Tensors } from "../../contracts/tensor.js";
import type { State } from "../backend.js";
import type { Ort } from "./ort.js";

const ARRAY_OF = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array } as const;

export function newData(spec: TensorSpec): Tensor["data"] {
  return new ARRAY_OF[spec.dtype](sizeOf(spec.shape));
}

/** A tensor of ONNX Runtime over the same memory, in a shape of as many elements. */
export function ortTensor(ort: Ort, tensor: Tensor, shape: readonly number[] = tensor.shape): OrtTensor {
  return new ort.Tensor(tensor.dtype as "float32", tensor.data as Float32Array, shape);
}

/** Memory with its ONNX Runtime tensors by shape: a model may know the same elements under another shape. */
class Buffer {
  readonly tensor: Tensor;
  readonly #views: { readonly shape: readonly number[]; readonly view: OrtTensor }[] = [];
  readonly #ort: Ort;

  constructor(ort: Ort, tensor: Tensor) {
    this.#ort = ort;
    this.tensor = tensor;
  }

  /** Shapes are told apart by identity: each program keeps its own, and asks for the same at every step. */
  as(shape: readonly number[]): OrtTensor {
    const known = this.#views.find((entry) => entry.shape === shape);
    if (known) return known.view;
    const equal = this.#views.find((entry) => sameShape(entry.shape, shape));
    const view = equal?.view ?? ortTensor(this.#ort, this.tensor, shape);
    if (this.#views.length >= MAX_VIEWS) this.#views.shift();
    this.#views.push({ shape, view });
    return view;
  }
}

/** Programs come and go; each brings shapes of its own. */
const MAX_VIEWS = 8;

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

interface Slot {
  front: Buffer;
  back: Buffer | undefined;
}

export class NativeState implements State {
  readonly #ort: Ort;
  readonly #slots = new Map<string, Slot>();
  #isRunning = false;

  constructor(ort: Ort) {
    this.#ort = ort;
  }

  get paths(): readonly string[] {
    return [...this.#slots.keys()];
  }

  has(path: string): boolean {
    return this.#slots.has(path);
  }

  spec(path: string): TensorSpec | undefined {
    return this.#slots.get(path)?.front.tensor;
  }

  /** What a program reads at `path`. */
  source(path: string): OrtTensor {
    const { front } = this.#get(path);
    return front.as(front.tensor.shape);
  }

  /** Where a program writes what replaces `path`. */
  target(path: string, shape: readonly number[]): OrtTensor {
    const slot = this.#get(path);
    const { shape: own, dtype } = slot.front.tensor;
    slot.back ??= new Buffer(this.#ort, { shape: own, dtype, data: newData({ shape: own, dtype }) });
    return slot.back.as(shape);
  }

  /** Makes what was written at `paths` the state. */
  swap(paths: readonly string[]): void {
    for (const path of paths) {
      const slot = this.#get(path);
      const { front, back } = slot;
      if (!back) throw new KasminaError("engine", `nothing was written for ${path}`);
      slot.front = back;
      slot.back = front;
    }
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

  async read(paths: readonly string[] = this.paths): Promise<Tensors> {
    this.#checkIdle();
    const copies = paths.map((path) => {
      const { shape, dtype, data } = this.#get(path).front.tensor;
      return [path, { shape, dtype, data: data.slice() }] as const;
    });
    return Object.fromEntries(copies);
  }

  write(tensors: Tensors): void {
    this.#checkIdle();
    for (const [path, tensor] of Object.entries(tensors)) {
      const { shape, dtype, data } = checkedTensor(tensor);
      const front = new Buffer(this.#ort, { shape: [...shape], dtype, data: data.slice() });
      this.#slots.set(path, { front, back: undefined });
    }
  }

  rename(from: string, to: string): void {
    this.#checkIdle();
    const slot = this.#get(from);
    if (this.#slots.has(to)) throw new KasminaError("engine", `state already has ${to}`);
    this.#slots.delete(from);
    this.#slots.set(to, slot);
  }

  remove(paths: readonly string[]): void {
    this.#checkIdle();
    for (const path of paths) this.#get(path);
    for (const path of paths) this.#slots.delete(path);
  }

  dispose(): void {
    this.#slots.clear();
  }

  #get(path: string): Slot {
    const slot = this.#slots.get(path);
    if (!slot) throw new KasminaError("engine", `state has no ${path}`);
    return slot;
  }

  #checkIdle(): void {
    if (this.#isRunning) {
      throw new KasminaError("illegal_state", "the state is in use by a program that is still running");
    }
  }
}
