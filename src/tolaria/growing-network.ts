/**
 * The network of a run as it stands: its parameters, its topology of the moment, and the programs that train and
 * evaluate it. A topology is installed at a step boundary; those that may come next are prepared in parallel with training.
 */

import { KasminaError } from "../base/index.js";
import type { EvaluationSource, FlopsByPart } from "../contracts/index.js";
import type { Kasmina, Seed } from "../kasmina/index.js";
import { type EvaluationResult, monitoredRows, parameterSpecs, type Topology } from "../network/index.js";
import { slotsOf } from "../nn/index.js";
import { evaluateRows } from "./evaluate.js";
import { FrozenFeatures } from "./frozen-features.js";
import { ModelState } from "./model-state.js";
import { IsolationGuard } from "./recovery/isolation-guard.js";
import { stepShares } from "./step-shares.js";
import {
  blendControls,
  installedTopology,
  type TopologyOptions,
  topologiesAhead,
  topologiesOfCandidates,
  topologyAfter,
  topologyOf,
} from "./topologies.js";
import { Programs, type TopologyPrograms } from "./tracing/programs.js";
import { countScalars } from "./train-step.js";
import type { TrainerOptions } from "./trainer-options.js";

type NetworkOptions = Pick<
  TrainerOptions,
  | "host"
  | "blueprints"
  | "backend"
  | "optimizer"
  | "kasmina"
  | "train"
  | "heldOut"
  | "hostGradient"
  | "loss"
  | "clipNorm"
  | "teacher"
  | "tracer"
  | "candidates"
  | "maxFeatureBytes"
>;

/** Of the topologies that a seed leads to: the next two stages, or none. */
const SOON = 3;

/** What a topology takes from a seed, which may change at a boundary. */
type Standing = readonly [
  seed: Seed,
  stage: Seed["stage"],
  kernel: Seed["kernel"],
  pausedFrom: Seed["pausedFrom"],
  parameters: Seed["parameters"],
];

function standing(seed: Seed): Standing {
  return [seed, seed.stage, seed.kernel, seed.pausedFrom, seed.parameters];
}

export class GrowingNetwork {
  readonly model: ModelState;
  readonly guard: IsolationGuard;
  readonly features: FrozenFeatures;
  readonly #options: NetworkOptions;
  readonly #kasmina: Kasmina;
  readonly #programs: Programs;
  #installed: TopologyPrograms | undefined;
  #installedFor: { readonly seeds: readonly Standing[]; readonly teacher: unknown } | undefined;
  #preparedSequence = 0;

  constructor(options: NetworkOptions) {
    const { backend, optimizer, train, heldOut, kasmina, tracer } = options;
    const { maxFeatureBytes = 0 } = options;
    this.#options = options;
    this.#kasmina = kasmina;
    this.model = new ModelState(backend, optimizer);
    this.guard = new IsolationGuard(kasmina);
    this.features = new FrozenFeatures({ train, heldOut, maxBytes: maxFeatureBytes });
    this.#programs = new Programs({
      backend,
      optimizer,
      trainBatch: train.batch,
      evaluationBatch: heldOut.batch,
      monitor: {
        batch: train.batch,
        rows: monitoredRows(train.batch),
        coordinates: kasmina.config.isolation.sampleCoordinates,
      },
      maxFeatures: this.features.maxValues,
      ...(tracer && { tracer }),
    });
  }

  /** What runs now; undefined before the first {@link install}. */
  get installed(): TopologyPrograms | undefined {
    return this.#installed;
  }

  /** Scalars of the host, seeds that the run began with included. */
  get paramsHost(): number {
    const seeds = this.#kasmina.seeds().filter(({ inherited }) => inherited);
    return countScalars(parameterSpecs(topologyOf(this.#topologyOptions, seeds)));
  }

  get paramsTotal(): number {
    return this.#installed ? countScalars(parameterSpecs(this.#installed.topology)) : this.paramsHost;
  }

  /** Makes the programs of the present topology the ones that run, without the seeds that isolation refuses. */
  async install(step: number): Promise<TopologyPrograms> {
    const unchanged = this.#unchanged();
    if (unchanged) return unchanged;
    let programs: TopologyPrograms | undefined;
    let seeds: readonly Standing[] = [];
    const { teacher } = this.#kasmina;
    while (!programs) {
      const admitted = this.guard.admitted();
      seeds = admitted.map(standing);
      const topology = topologyOf(this.#topologyOptions, admitted);
      const prepared = this.#programs.prepare(topology);
      // Before the first step there is nothing that could stand still.
      const isGraft = this.#installed !== undefined;
      programs = this.guard.admit(await (isGraft ? this.#kasmina.countStall(prepared) : prepared), step);
    }
    if (programs !== this.#installed) {
      this.#refuseTeacherUpdates(programs);
      this.#installed = programs;
      this.#kasmina.recordTopology(installedTopology(programs.topology));
      this.#kasmina.recordStepShares(await this.#stepShares(programs.topology));
      const ahead = topologiesAhead(this.#topologyOptions, this.guard.admitted());
      const soon = [programs.topology, ...ahead.slice(0, SOON)];
      const grafts = soon.flatMap((topology) => this.#graftsOn(topology));
      void this.#programs.anticipate([...ahead, ...grafts]);
    }
    this.#installedFor = { seeds, teacher };
    return programs;
  }

  /** What is installed, where all that a topology follows from is as it was: at nearly every step. */
  #unchanged(): TopologyPrograms | undefined {
    const before = this.#installedFor;
    if (!before || before.teacher !== this.#kasmina.teacher) return undefined;
    const seeds = this.guard.admitted();
    const isSame = ([seed, stage, kernel, pausedFrom, parameters]: Standing, i: number): boolean => {
      const now = seeds[i];
      return (
        now === seed &&
        now.stage === stage &&
        now.kernel === kernel &&
        now.pausedFrom === pausedFrom &&
        now.parameters === parameters
      );
    };
    return seeds.length === before.seeds.length && before.seeds.every(isSame) ? this.#installed : undefined;
  }

  /** Starts on the programs of a change as soon as it is accepted, so that they are there when it takes effect. */
  prepareAhead(): void {
    const next = this.#kasmina.planned.find((change) => change.sequence > this.#preparedSequence);
    if (!next) return;
    this.#preparedSequence = next.sequence;
    const topology = topologyAfter(this.#topologyOptions, this.guard.admitted(), next);
    if (!topology) return;
    // Asked for once more: the two asked for last are kept.
    if (this.#installed) void this.#programs.prepare(this.#installed.topology);
    this.#programs.prepareAhead(topology);
    this.#stepShares(topology).catch(() => undefined); // reported when the topology is installed
  }

  /** Says that a training step has ended: programs are compiled between steps. */
  afterStep(): void {
    this.#programs.afterStep();
  }

  /** After a rollback: what is planned then is prepared again. */
  prepareAnew(): void {
    this.#preparedSequence = 0;
  }

  /** The first graft waits for no trace: those of the candidates are there before the first step. */
  async prefetchTraces(step: number): Promise<void> {
    const { topology } = await this.install(step);
    const grafts = this.#graftsOn(topology);
    const { host, candidates = [] } = this.#options;
    await this.#programs.anticipate(grafts, slotsOf(host).length * candidates.length);
  }

  /**
   * Evaluates the network as it stands; a seed in TRAINING is measured in parallel. `pause` comes between two batches; where it
   * rejects, so does this.
   */
  async evaluate(
    source: EvaluationSource,
    step: number,
    pause?: () => Promise<void>,
  ): Promise<EvaluationResult & { readonly batches: number; readonly flops: Partial<FlopsByPart> }> {
    const { evaluate, topology, flops, prefix } = await this.install(step);
    const controls = blendControls(topology, this.#kasmina.seeds(), step).tensors;
    const { state } = this.model;
    const result = await evaluateRows(evaluate, topology, state, source, controls, {
      pause,
      begin: (x, index) => this.features.ofEvaluation(prefix, state, { x, source, index }),
    });
    return { ...result, flops: flops.batch };
  }

  /** Frees parameters and programs. */
  async dispose(): Promise<void> {
    this.model.dispose();
    await this.#programs.dispose();
  }

  /** What is left of a seed, in the state and in the program. */
  residueOf(seedId: string): string[] {
    const sites = this.#installed?.topology.sites ?? [];
    const inputs = sites.some((site) => site.seedId === seedId) ? [`program/${seedId}`] : [];
    return [...this.model.residueOf(seedId), ...inputs];
  }

  /** What may be grafted on a topology in which nothing else is growing. */
  #graftsOn(topology: Topology): Topology[] {
    const grows = topology.sites.some(({ part }) => part !== "grown");
    return grows
      ? []
      : topologiesOfCandidates(topology, this.#topologyOptions, this.#options.candidates ?? []);
  }

  /** Nobody asks for them without a budget. */
  async #stepShares(topology: Topology): Promise<Record<string, number>> {
    if (this.#kasmina.config.kernel.stepShareBudget === undefined) return {};
    return stepShares(topology, (counted) => this.#programs.stepFlops(counted));
  }

  /** No program that would change a parameter of the teacher ever runs. */
  #refuseTeacherUpdates({ train }: TopologyPrograms): void {
    const changed = train.traced.outputs.filter(({ role }) => role !== "output").map(({ name }) => name);
    const problem = this.#kasmina.updateProblem(changed);
    if (!problem) return;
    throw new KasminaError(
      "illegal_state",
      `the training step would update ${problem.path}: ${problem.reason}`,
    );
  }

  /** The teacher is part of it until it is deregistered. */
  get #topologyOptions(): TopologyOptions {
    const { host, blueprints, hostGradient = "detach", teacher, loss, clipNorm } = this.#options;
    return {
      host,
      blueprints,
      hostGradient,
      loss,
      clipNorm,
      ...(teacher && this.#kasmina.teacher && { teacher }),
    };
  }
}
