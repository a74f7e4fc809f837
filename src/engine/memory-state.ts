/**
 * The state of the CPU engines: tensors in this process's memory, each alone or, where a program updates them, with its optimizer
 * state and the place for its gradient in one region of a WebAssembly memory (update/region.ts).
 */
import { KasminaError } from "../base/errors.js";
import {
  checkedTensor,
  sameSpec,
  specOf,
  type TensorData,
  type TensorSpec,
  type Tensors,
} from "../contracts/tensor.js";
import type { State } from "./backend.js";

/** Where the tensor of a path lies. */
export interface Entry {
  readonly spec: TensorSpec;
  /** Read and written in place. Another array once the tensor has been moved. */
  data: TensorData;
  region?: Region;
}

/** Parameters that are updated together, laid out by update/region.ts. */
export interface Region {
  readonly memory: WebAssembly.Memory;
  /** Parameters, then one row a slot of their optimizer state. */
  readonly rows: readonly Row[];
  /** What the gradients of the parameters are written to. */
  readonly gradients: Float32Array<ArrayBuffer>;
}

/** Tensors end to end. */
export interface Row {
  readonly entries: readonly Entry[];
  readonly data: Float32Array<ArrayBuffer>;
}

export class MemoryState implements State {
  readonly #entries = new Map<string, Entry>();
  #isRunning = false;
  #layout = 0;

  /** Another number whenever a tensor has been added, removed, renamed or moved. */
  get layout(): number {
    return this.#layout;
  }

  get paths(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  /** Undefined where there is none. */
  find(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  get(path: string): Entry {
    const entry = this.#entries.get(path);
    if (!entry) throw new KasminaError("engine", `state has no ${path}`);
    return entry;
  }

  /** Says that tensors have been moved. */
  moved(): void {
    this.#layout++;
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
    return Object.fromEntries(
      paths.map((path) => {
        const { spec, data } = this.get(path);
        return [path, { ...spec, data: data.slice() }] as const;
      }),
    );
  }

  /** What is replaced by a tensor of the same shape stays where it lies. */
  write(tensors: Tensors): void {
    this.#checkIdle();
    for (const tensor of Object.values(tensors)) checkedTensor(tensor);
    for (const [path, tensor] of Object.entries(tensors)) {
      const known = this.#entries.get(path);
      if (known && sameSpec(known.spec, tensor)) known.data.set(tensor.data);
      else {
        const { shape, dtype } = specOf(tensor);
        this.#entries.set(path, { spec: { shape: [...shape], dtype }, data: tensor.data.slice() });
        this.#layout++;
      }
    }
  }

  rename(from: string, to: string): void {
    this.#checkIdle();
    const entry = this.get(from);
    if (this.#entries.has(to)) throw new KasminaError("engine", `state already has ${to}`);
    this.#layout++;
    this.#entries.delete(from);
    this.#entries.set(to, entry);
  }

  remove(paths: readonly string[]): void {
    this.#checkIdle();
    for (const path of paths) this.get(path);
    this.#layout++;
    for (const path of paths) this.#entries.delete(path);
  }

  dispose(): void {
    this.#layout++;
    this.#entries.clear();
  }

  #checkIdle(): void {
    if (this.#isRunning) {
      throw new KasminaError("illegal_state", "the state is in use by a program that is still running");
    }
  }
}

/** @throws KasminaError `engine` for the state of another kind of back end */
export function asMemoryState(state: State): MemoryState {
  if (state instanceof MemoryState) return state;
  throw new KasminaError("engine", "this state belongs to another back end");
}
