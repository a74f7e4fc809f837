/**
 * Tensors that stay where ONNX Runtime reads and writes them, alone or several end to end in one block (see pack.ts). A
 * block that a program replaces has two memories: a run reads one and writes the other, then they change places, so
 * nothing is allocated from step to step, and a run that fails leaves the state as it was. (ONNX Runtime gives wrong
 * numbers where one tensor is both fed and fetched.)
 */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import {
  checkedTensor,
  type DType,
  sizeOf,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from "../../contracts/tensor.js";
import type { State } from "../backend.js";
import type { Ort } from "./ort.js";

const ARRAY_OF = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array } as const;

export function newData(spec: TensorSpec): Tensor["data"] {
  return new ARRAY_OF[spec.dtype](sizeOf(spec.shape));
}

/** A tensor of ONNX Runtime over the same memory. */
export function ortTensor(ort: Ort, { dtype, data, shape }: Tensor): OrtTensor {
  return new ort.Tensor(dtype as "float32", data as Float32Array, shape);
}

/** Memory with its ONNX Runtime tensors: of the whole by shape, and of what lies in it. */
class Memory {
  readonly data: Tensor["data"];
  readonly #ort: Ort;
  readonly #whole: { readonly shape: readonly number[]; readonly view: OrtTensor }[] = [];
  readonly #pieces = new Map<Slot, OrtTensor>();

  constructor(ort: Ort, data: Tensor["data"]) {
    this.#ort = ort;
    this.data = data;
  }

  /** Shapes are told apart by identity first: each program keeps its own, and asks for the same at every step. */
  as(dtype: DType, shape: readonly number[]): OrtTensor {
    const known =
      this.#whole.find((entry) => entry.shape === shape) ??
      this.#whole.find((entry) => sameShape(entry.shape, shape));
    if (known) return known.view;
    const view = ortTensor(this.#ort, { shape, dtype, data: this.data });
    if (this.#whole.length >= MAX_VIEWS) this.#whole.shift();
    this.#whole.push({ shape, view });
    return view;
  }

  piece(slot: Slot): OrtTensor {
    const known = this.#pieces.get(slot);
    if (known) return known;
    const view = ortTensor(this.#ort, { ...slot.spec, data: slot.in(this) });
    this.#pieces.set(slot, view);
    return view;
  }
}

/** Programs come and go; each brings shapes of its own. */
const MAX_VIEWS = 8;

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Where the tensor of a path lies. */
class Slot {
  readonly spec: TensorSpec;
  block: Block;
  offset = 0;

  constructor(spec: TensorSpec, block: Block) {
    this.spec = spec;
    this.block = block;
  }

  in(memory: Memory): Tensor["data"] {
    return memory.data.subarray(this.offset, this.offset + sizeOf(this.spec.shape));
  }
}

/** Tensors of one dtype that lie end to end and are replaced together: read in front, written behind. */
class Block {
  readonly dtype: DType;
  slots: readonly Slot[] = [];
  front: Memory;
  #back: Memory | undefined;
  readonly #ort: Ort;

  constructor(ort: Ort, dtype: DType, data: Tensor["data"]) {
    this.#ort = ort;
    this.dtype = dtype;
    this.front = new Memory(ort, data);
  }

  /** Whether these slots, and never another, lie here in this order. */
  isExactly(slots: readonly Slot[]): boolean {
    return (
      slots.length === this.slots.length &&
      slots.every((slot, i) => slot === this.slots[i] && slot.block === this)
    );
  }

  source(shape: readonly number[]): OrtTensor {
    return this.front.as(this.dtype, shape);
  }

  target(shape: readonly number[]): OrtTensor {
    this.#back ??= new Memory(this.#ort, newData({ dtype: this.dtype, shape: [this.front.data.length] }));
    return this.#back.as(this.dtype, shape);
  }

  swap(): void {
    if (!this.#back) throw new KasminaError("engine", "nothing was written behind");
    [this.front, this.#back] = [this.#back, this.front];
  }
}

export type { Block };

export class NativeState implements State {
  readonly #ort: Ort;
  readonly #slots = new Map<string, Slot>();
  #isRunning = false;
  #layout = 0;

  constructor(ort: Ort) {
    this.#ort = ort;
  }

  /** Another number whenever a tensor has been added, removed, renamed or moved. */
  get layout(): number {
    return this.#layout;
  }

  get paths(): readonly string[] {
    return [...this.#slots.keys()];
  }

  has(path: string): boolean {
    return this.#slots.has(path);
  }

  spec(path: string): TensorSpec | undefined {
    return this.#slots.get(path)?.spec;
  }

  /** What a program reads at `path`. */
  source(path: string): OrtTensor {
    const slot = this.#get(path);
    return slot.block.front.piece(slot);
  }

  /**
   * The block in which the tensors at `paths`, and no others, lie in this order, of one dtype. Where they do not lie so
   * they are moved: once, when a program that replaces them is new.
   */
  block(paths: readonly string[]): Block {
    const slots = paths.map((path) => this.#get(path));
    const [first] = slots;
    if (!first) throw new RangeError("a block has one path at least");
    const { block } = first;
    return block.isExactly(slots) ? block : this.#layOut(slots, block.dtype);
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
      const slot = this.#get(path);
      return [path, { ...slot.spec, data: slot.in(slot.block.front).slice() }] as const;
    });
    return Object.fromEntries(copies);
  }

  write(tensors: Tensors): void {
    this.#checkIdle();
    this.#layout++;
    for (const [path, tensor] of Object.entries(tensors)) {
      const { shape, dtype, data } = checkedTensor(tensor);
      const block = new Block(this.#ort, dtype, data.slice());
      const slot = new Slot({ shape: [...shape], dtype }, block);
      block.slots = [slot];
      this.#slots.set(path, slot);
    }
  }

  rename(from: string, to: string): void {
    this.#checkIdle();
    const slot = this.#get(from);
    if (this.#slots.has(to)) throw new KasminaError("engine", `state already has ${to}`);
    this.#layout++;
    this.#slots.delete(from);
    this.#slots.set(to, slot);
  }

  remove(paths: readonly string[]): void {
    this.#checkIdle();
    for (const path of paths) this.#get(path);
    this.#layout++;
    for (const path of paths) this.#slots.delete(path);
  }

  dispose(): void {
    this.#layout++;
    this.#slots.clear();
  }

  #layOut(slots: readonly Slot[], dtype: DType): Block {
    const size = slots.reduce((sum, { spec }) => sum + sizeOf(spec.shape), 0);
    const data = newData({ dtype, shape: [size] });
    const block = new Block(this.#ort, dtype, data);
    block.slots = slots;
    this.#layout++;
    let offset = 0;
    for (const slot of slots) {
      data.set(slot.in(slot.block.front), offset);
      slot.block = block;
      slot.offset = offset;
      offset += sizeOf(slot.spec.shape);
    }
    return block;
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
