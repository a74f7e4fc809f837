/** Runs the monitor's programs for one topology after another: a probe, and an inquiry only where the probe is not clean. */
import type { IsolationReading, Tensors } from "../../contracts/index.js";
import { type Backend, type Program, type State, type TracedProgram, trace } from "../../engine/index.js";
import type { Topology } from "../topology.js";
import { inquiryProgram, type MonitorOptions, probeProgram } from "./monitor.js";
import { cleanReadings, isClean, readInquiry } from "./reading.js";
import { type CoordinateSample, sampleCoordinates } from "./sample.js";

/** One look at the isolated seeds of a topology. */
export interface IsolationCheck {
  /** One for each isolated seed, in host order. */
  readonly readings: readonly IsolationReading[];
  /** What the look cost, in floating point operations. */
  readonly flops: number;
}

/** Part of the batch that is looked at, unless set otherwise: keeps the monitor within 2 % of the step time. */
const ROWS_SHARE = 1 / 8;

/** Rows of a batch that the monitor looks at by default. */
export function monitoredRows(batch: number): number {
  return Math.max(1, Math.floor(batch * ROWS_SHARE));
}

/** The monitor of one topology. Its memory is the sample's, whatever the size of the host. */
export class IsolationMonitor {
  readonly #backend: Backend;
  readonly #topology: Topology;
  readonly #options: MonitorOptions;
  readonly #sample: CoordinateSample;
  readonly #probe: Program;
  #inquiry: Program | undefined;

  private constructor(backend: Backend, topology: Topology, options: MonitorOptions, probe: Program) {
    this.#backend = backend;
    this.#topology = topology;
    this.#options = options;
    this.#sample = sampleCoordinates(topology, options.coordinates);
    this.#probe = probe;
  }

  /** The monitor of a topology with at least one isolated seed; `probe` is its traced {@link probeProgram}. */
  static async compile(
    backend: Backend,
    topology: Topology,
    options: MonitorOptions,
    probe: TracedProgram = trace(probeProgram(topology, options)),
  ): Promise<IsolationMonitor> {
    return new IsolationMonitor(backend, topology, options, await backend.compile(probe));
  }

  /** Looks once. `batch` and `controls` are what the training step is fed; the state stays as it is. */
  async check(state: State, batch: Tensors, controls: Tensors): Promise<IsolationCheck> {
    const probe = await this.#probe.run(state, batch, controls);
    const { flops } = this.#probe.traced;
    if (isClean(probe)) return { readings: cleanReadings(this.#topology), flops };
    this.#inquiry ??= await this.#backend.compile(trace(inquiryProgram(this.#topology, this.#options)));
    const inquiry = await this.#inquiry.run(state, batch, controls);
    return {
      readings: readInquiry(this.#topology, this.#sample, inquiry),
      flops: flops + this.#inquiry.traced.flops,
    };
  }

  dispose(): void {
    this.#probe.dispose();
    this.#inquiry?.dispose();
  }
}
