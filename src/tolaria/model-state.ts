/**
 * Everything a run learns, resident in the engine: parameters and optimizer state, by path. Optimizer state is made
 * with its parameter, moves with it and goes with it; ownership is by path, never by value.
 */

import { KasminaError } from "../base/index.js";
import {
  float32,
  grownModule,
  parameterOf,
  parameterPath,
  seedModule,
  seedOf,
  TEACHER_ROOT,
  type Tensor,
  type Tensors,
} from "../contracts/index.js";
import type { Backend, State } from "../engine/index.js";
import type { Optimizer } from "./optimizers.js";
import { optimizerSpecs } from "./train-step.js";

export class ModelState {
  readonly state: State;
  readonly #optimizer: Optimizer;

  constructor(backend: Backend, optimizer: Optimizer) {
    this.state = backend.createState();
    this.#optimizer = optimizer;
  }

  /** Adds parameters by path, with fresh optimizer state. A path that is taken throws. */
  add(parameters: Tensors): void {
    const taken = Object.keys(parameters).find((path) => this.state.has(path));
    if (taken) throw new KasminaError("illegal_state", `parameter ${taken} is already there`);
    const slots = Object.entries(optimizerSpecs(this.#optimizer, parameters));
    this.state.write({
      ...parameters,
      ...Object.fromEntries(slots.map(([path, { shape }]) => [path, float32(shape)])),
    });
  }

  /** Adds a host's parameters; those that never learn have no optimizer state. */
  addHost(parameters: Tensors, frozen: ReadonlySet<string>): void {
    const entries = Object.entries(parameters);
    this.add(Object.fromEntries(entries.filter(([path]) => !frozen.has(path))));
    this.state.write(Object.fromEntries(entries.filter(([path]) => frozen.has(path))));
  }

  /**
   * Takes over the optimizer state that parameters had elsewhere.
   * @throws KasminaError `invalid_argument` where it is not that of these parameters and this optimizer
   */
  takeOptimizer(tensors: Tensors): void {
    const own = this.state.paths.filter((path) => parameterOf(path) !== path);
    const missing = own.find((path) => !Object.hasOwn(tensors, path));
    const foreign = Object.keys(tensors).find((path) => !own.includes(path));
    const problem =
      missing === undefined ? foreign && `${foreign} is of no use here` : `${missing} is missing`;
    if (problem)
      throw new KasminaError(
        "invalid_argument",
        `keepOptimizer: the optimizer state that is to be kept does not fit: ${problem}; take the same optimizer, or begin with a fresh one`,
      );
    this.state.write(tensors);
  }

  /** Adds the weights of a kernel as the parameters of a seed; the weights are copied. */
  addSeed(seedId: string, kernel: Tensors): void {
    const entries = Object.entries(kernel).map(([name, tensor]): [string, Tensor] => [
      parameterPath(seedModule(seedId), name),
      tensor,
    ]);
    this.add(Object.fromEntries(entries));
  }

  /** Hands a seed's parameters over to the host, optimizer state and all. */
  giveToHost(seedId: string): void {
    const [from, to] = [seedModule(seedId), grownModule(seedId)];
    for (const path of this.residueOf(seedId)) this.state.rename(path, path.replace(from, to));
  }

  /** Removes a seed's parameters and optimizer state. A seed that has none is left alone. */
  removeSeed(seedId: string): void {
    this.state.remove(this.residueOf(seedId));
  }

  /** Every path that belongs to a seed, parameters and optimizer state: what G5 wants gone. */
  residueOf(seedId: string): string[] {
    return this.state.paths.filter((path) => seedOf(path) === seedId);
  }

  /** Adds a teacher's tensors, their paths under `teacher/`: they have no optimizer state and never change. */
  addTeacher(tensors: Tensors): void {
    this.state.write(tensors);
  }

  removeTeacher(): void {
    this.state.remove(this.state.paths.filter(isTeachers));
  }

  /** Copies of all tensors but the teacher's, which has its own source, for a checkpoint. */
  snapshot(): Promise<Tensors> {
    return this.state.read(this.state.paths.filter((path) => !isTeachers(path)));
  }

  /** Copies of the parameters alone. */
  parameters(): Promise<Tensors> {
    return this.state.read(
      this.state.paths.filter((path) => !isTeachers(path) && parameterOf(path) === path),
    );
  }

  /** Makes the state exactly what a snapshot holds; the teacher stays what it is. */
  restore(snapshot: Tensors): void {
    const gone = this.state.paths.filter((path) => !isTeachers(path) && !Object.hasOwn(snapshot, path));
    this.state.remove(gone);
    this.state.write(snapshot);
  }

  dispose(): void {
    this.state.dispose();
  }
}

function isTeachers(path: string): boolean {
  return path.startsWith(TEACHER_ROOT);
}
