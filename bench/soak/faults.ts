/** Faults, put in at the ports of a run: its data, its engine, its kernels, its blueprints. Nothing in a run knows of them. */
import { numpy as np } from "@jax-js/jax";
import { DependencyViolationError, systemClock } from "kasmina/base";
import { type BatchSource, type Dataset, float32, type Kernel, type KernelRequest } from "kasmina/contracts";
import { type BatchOptions, ShuffledBatches } from "kasmina/data";
import { type Backend, type Program, wrapBackend, wrapProgram } from "kasmina/engine";
import { type Blueprint, defineBlueprint, zeros } from "kasmina/nn";
import type { RunKernels } from "kasmina/weatherlight";

/** The run's own batches, but every input of the batch of some steps is NaN. */
export function batchesWithNaN(isBad: (step: number) => boolean) {
  return (dataset: Dataset, options: BatchOptions): BatchSource => {
    const sound = new ShuffledBatches(dataset, options);
    return {
      batch: sound.batch,
      stepsPerEpoch: sound.stepsPerEpoch,
      at: (step) => {
        const batch = sound.at(step);
        if (!isBad(step)) return batch;
        const { shape } = batch.inputs;
        return { ...batch, inputs: float32(shape, Number.NaN) };
      },
    };
  };
}

/** What is to be broken before a training step. */
export interface Spoiling {
  /** Path in the run's state, such as `host/block1/up` or `seed/s1/up`. */
  readonly path: string;
}

/**
 * An engine in whose memory a parameter turns to NaN.
 * @param spoils asked before each training step, by their number from 0: what breaks, if anything. Paths that are not
 * there are left alone
 */
export function spoilingBackend(backend: Backend, spoils: (run: number) => Spoiling | undefined): Backend {
  let runs = 0;
  const spoiling = (program: Program): Program =>
    wrapProgram(program, async (state, batch, controls) => {
      const path = spoils(runs++)?.path;
      if (path !== undefined && state.has(path)) {
        const { [path]: tensor } = await state.read([path]);
        if (tensor) state.write({ [path]: float32(tensor.shape, Number.NaN) });
      }
      return program.run(state, batch, controls);
    });
  return wrapBackend(backend, {
    program: (program, { definition }) => (definition.name === "training step" ? spoiling(program) : program),
  });
}

/** What happens to one request for a kernel. */
export type KernelFault = "none" | "fails" | "late";

/** Kernels of which some cannot be had, and some never come. */
export class FaultyKernels implements RunKernels {
  readonly #sound: RunKernels & { close(): Promise<void> };
  readonly #faultOf: (request: KernelRequest) => KernelFault;
  readonly #deadlineMs: number;

  /** @param deadlineMs after which a kernel that is late is given up */
  constructor(
    sound: RunKernels & { close(): Promise<void> },
    deadlineMs: number,
    faultOf: (request: KernelRequest) => KernelFault,
  ) {
    this.#sound = sound;
    this.#deadlineMs = deadlineMs;
    this.#faultOf = faultOf;
  }

  async fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const fault = this.#faultOf(request);
    if (fault === "fails")
      throw new DependencyViolationError(`no kernel of ${request.blueprintId}: an injected fault`);
    if (fault === "late") return givenUp(this.#deadlineMs, signal);
    return this.#sound.fetch(request, signal);
  }

  forget(): void {
    this.#sound.forget?.();
  }

  prewarm(...args: Parameters<RunKernels["prewarm"]>): Promise<void> {
    return this.#sound.prewarm(...args);
  }

  listen(...args: Parameters<NonNullable<RunKernels["listen"]>>): void {
    this.#sound.listen?.(...args);
  }

  close(): Promise<void> {
    return this.#sound.close();
  }
}

function givenUp(deadlineMs: number, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = (): void => {
      timer.cancel();
      const details = { reason: "timeout" };
      reject(new DependencyViolationError("given up: an injected fault held it back", { details }));
    };
    const timer = systemClock.setTimer(giveUp, deadlineMs);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
}

/** A blueprint that learns like any other until its weights have grown to a length, and computes NaN from then on. */
export const turnsNaN: Blueprint = defineBlueprint({
  id: "turns-nan",
  form: "delta",
  bounds: { length: { min: 1e-9, max: 1e9, default: 1e-4, integer: false } },
  supports: (shape) => shape.length >= 1,
  parameters: (shape) => ({ gain: { shape: [shape.at(-1) ?? 0], init: zeros } }),
  apply: ({ gain }, h, { length = 0 }) => {
    const room = gain.ref
      .mul(gain.ref)
      .sum()
      .mul(-1)
      .add(length * length);
    return h.mul(gain).add(np.sqrt(room).mul(0));
  },
});
