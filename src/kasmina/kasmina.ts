/**
 * Kasmina, the execution layer of one run (docs/architecture.md, "The loop"): commands come in by one ingress, gates
 * decide, and what is decided takes effect at a step boundary. It holds no engine objects; the trainer carries the
 * changes out.
 *
 * A trainer's step boundary, in this order:
 *
 *     kasmina.receive(source, {step, epoch})    commands → outcomes
 *     await kasmina.takeEffect(step)            what changes now
 *     …carry out the changes, install the program, kasmina.recordTopology(…)
 *     kasmina.finishEmbargoes(step, probe)
 *     …run the step, kasmina.recordStep(…)
 *     kasmina.flushTelemetry({step, epoch})
 */

import type { BreakerState } from "../base/breaker.js";
import { toHex } from "../base/bytes.js";
import type { Clock } from "../base/clock.js";
import type { BlueprintCatalog } from "../contracts/blueprint.js";
import type { IsolationFailure, IsolationReading, IsolationTally } from "../contracts/isolation.js";
import type { KeyRing } from "../contracts/key-ring.js";
import type {
  CommandDelivery,
  CommandOutcome,
  CommandSource,
  InstalledTopology,
  KernelSource,
  TelemetrySink,
} from "../contracts/ports.js";
import { canCull } from "../contracts/stages.js";
import type { Attributes } from "../contracts/telemetry.js";
import type { TensorSpecs } from "../contracts/tensor.js";
import { planCull } from "./changes/culling.js";
import { describeRun, type RunDescription } from "./changes/describe.js";
import { deregisterTeacher, takeDueEffects } from "./changes/effects.js";
import {
  type IsolationOutcome,
  isolationError,
  recordReadings,
  recordViolation,
  refuseUnproven,
} from "./changes/isolation-watch.js";
import {
  alphaOf,
  type EvaluationMeasurement,
  gaugeSeed,
  recordEvaluation,
  recordStep,
  recordStepShares,
  type StepMeasurement,
} from "./changes/measurements.js";
import { ResetWatch, type ResidueProbe } from "./changes/reset-watch.js";
import { rollBackTo } from "./changes/rolling-back.js";
import { CommandIngress } from "./commands/command-ingress.js";
import type { Boundary } from "./commands/context.js";
import { liftHalt } from "./commands/run-commands.js";
import { type KasminaConfig, parseConfig } from "./config.js";
import { type CommandJournal, MemoryJournal } from "./security/journal.js";
import { NonceLedger } from "./security/nonce-ledger.js";
import { CommandVerifier } from "./security/verifier.js";
import type { PlannedChange, StructuralChange } from "./state/change-plan.js";
import type { SlotSpec } from "./state/registry.js";
import { RunState, type StandingEmergency } from "./state/run-state.js";
import type { Seed } from "./state/seed.js";
import { type KasminaSnapshot, restoreSnapshot, takeSnapshot } from "./state/snapshot.js";
import type { Teacher, UpdateProblem } from "./state/teacher.js";
import { TelemetryHub } from "./telemetry/hub.js";

export interface KasminaOptions {
  readonly trainingRunId: string;
  /** Names the life of the run, another each time. Default: 16 bytes from the platform's cryptographic generator, in hex. */
  readonly newIncarnation?: () => string;
  /** In host order. */
  readonly slots: readonly SlotSpec[];
  readonly blueprints: BlueprintCatalog;
  /** Default {@link parseConfig}(). */
  readonly config?: KasminaConfig;
  readonly clock: Clock;
  readonly telemetry: TelemetrySink;
  /** Commands must be signed with one of these. */
  readonly keys: KeyRing;
  /** Default: one in memory, which ends with the process. */
  readonly journal?: CommandJournal;
  /** Replays every command of the journal, from the run's first step on. Default false. */
  readonly replay?: boolean;
  readonly kernels: KernelSource;
  /** Seeds that are part of the host from the start, FOSSILIZED, with ids and places in the order of their own. Default: none. */
  readonly inherited?: readonly Seed[];
}

export class Kasmina {
  readonly #state: RunState;
  readonly #ingress: CommandIngress;
  readonly #watch: ResetWatch;
  readonly #ledger: NonceLedger;
  readonly #verifier: CommandVerifier;
  readonly #journal: CommandJournal;
  /** For events and gauges of the trainer's own about this run and its seeds. */
  readonly telemetry: TelemetryHub;

  constructor(options: KasminaOptions) {
    const { trainingRunId, clock, journal = new MemoryJournal(), config = parseConfig() } = options;
    this.telemetry = new TelemetryHub({
      trainingRunId,
      source: "kasmina",
      sink: options.telemetry,
      clock,
      pendingEvents: config.telemetry.pendingEvents,
      isSeed: (seedId) => this.#state.registry.isLiving(seedId),
    });
    this.#state = new RunState({ ...options, config, journal, telemetry: this.telemetry });
    for (const seed of options.inherited ?? []) this.#state.registry.add({ ...seed });
    this.#ledger = createLedger(options, config, this.telemetry);
    this.#verifier = new CommandVerifier({
      trainingRunId,
      keys: options.keys,
      ledger: this.#ledger,
      clock,
      limits: config.command,
    });
    this.#ingress = new CommandIngress({ state: this.#state, verifier: this.#verifier, journal, clock });
    this.#watch = new ResetWatch(this.#state);
    this.#journal = journal;
    this.#ledger.start();
    if (options.replay) this.#ingress.replayAfter(0);
  }

  get config(): KasminaConfig {
    return this.#state.config;
  }

  /** The emergency level that is on; undefined where none is. */
  get emergency(): StandingEmergency {
    return this.#state.emergency;
  }

  /** Whether a resumed run is still replaying its journaled commands; what its policy decides until then is among them. */
  get isReplaying(): boolean {
    return this.#ingress.isReplaying;
  }

  /**
   * Handles everything the source holds, in order, with one commit of the journal. A resumed run first replays
   * its journaled commands; until they are through, new ones stay in the source.
   * @throws KasminaError `io` where the journal cannot be written: the run must stop
   */
  receive(source: CommandSource, now: Boundary): CommandOutcome[] {
    this.telemetry.at(now.step, now.epoch);
    this.#ingress.replayDue(now);
    return this.#ingress.isReplaying ? [] : this.#ingress.handleAll(source.drain(), now);
  }

  /** The life of the run that commands name: another after each start and each reset. */
  get incarnation(): string {
    return this.#ledger.incarnation;
  }

  /** Handles one delivery. Never throws for what is in it. */
  handle(delivery: CommandDelivery, now: Boundary): CommandOutcome {
    this.telemetry.at(now.step, now.epoch);
    const [outcome] = this.#ingress.handleAll([delivery], now);
    return outcome ?? { status: "failed", reason: "internal_error" };
  }

  /** What was accepted and is not in effect yet, in the order it will be; the trainer compiles ahead from this. */
  get planned(): readonly PlannedChange[] {
    return this.#state.plan.all;
  }

  /**
   * What changes at this step boundary, in order. Waits for a kernel that is due and not there; the wait is
   * `kasmina.graft.stall_ms`. A kernel that cannot be had fails its gate, and its seed is culled. What became of it is
   * journaled before anything follows from it.
   *
   * @param signal ends the wait: what is due then stays planned, for the run that goes on from here
   * @throws KasminaError `io` where the journal cannot be written: the run must stop
   */
  takeEffect(step: number, signal?: AbortSignal): Promise<StructuralChange[]> {
    return takeDueEffects(this.#state, step, signal);
  }

  /** Every seed on record, slot by slot, then in germination order; DORMANT ones hold nothing. */
  seeds(): readonly Seed[] {
    return this.#state.registry.seeds();
  }

  seed(id: string): Seed | undefined {
    return this.#state.registry.find(id);
  }

  /** The seed's alpha at a step: what the trainer blends with. */
  alphaOf(seed: Seed, step: number): number {
    return alphaOf(seed, step);
  }

  /** What is installed in the engine now, read off the traced program; G3 and G5 look here. */
  recordTopology(topology: InstalledTopology): void {
    this.#state.topology = topology;
  }

  /** Counts how long training waits for something at a graft, in `kasmina.graft.stall_ms`. */
  async countStall<T>(work: Promise<T>): Promise<T> {
    const { clock, telemetry } = this.#state;
    const startMs = clock.monotonicMs();
    const result = await work;
    telemetry.addDuration("kasmina.graft.stall_ms", clock.monotonicMs() - startMs);
    return result;
  }

  /**
   * One step's measurements. G1 needs gradient norms of a GERMINATED seed whose kernel is attached, though it does
   * not learn yet: without any it fails as `gradient_silent`.
   */
  recordStep(measured: StepMeasurement): void {
    recordStep(this.#state, measured);
  }

  /** One evaluation on held-out batches; G2 reads shadow gains, G4 contributions, of the stage the seed is in. */
  recordEvaluation(measured: EvaluationMeasurement): void {
    recordEvaluation(this.#state, measured);
  }

  /**
   * Each seed's share of a training step's FLOPs, 0 to 1, were it kept: (step with it − step without it) / step with it.
   * G2 and G4 fail for one over `kernel.stepShareBudget`, and, where there is a budget, for one that nobody counted.
   */
  recordStepShares(shares: Readonly<Record<string, number>>): void {
    recordStepShares(this.#state, shares);
  }

  /** A violation of isolation. Returns whether it opened the seed's breaker, which culls the seed. */
  recordViolation(seedId: string, step: number, attributes: Attributes): boolean {
    return recordViolation(this.#state, seedId, step, attributes);
  }

  /**
   * What the monitor read at a step. Each seed that broke a limit has its own breaker count it.
   * @returns the seeds that did, and those that are culled for it
   * @throws KasminaError `isolation` with `isolation.failFast`, once its telemetry is out
   */
  recordIsolation(readings: readonly IsolationReading[], now: Boundary): IsolationOutcome {
    const outcome = recordReadings(this.#state, readings, now.step);
    if (outcome.violators.length === 0 || !this.config.isolation.failFast) return outcome;
    this.flushTelemetry(now);
    throw isolationError(readings, outcome.violators);
  }

  /** A program that was not installed because a seed's isolation is not proven: reported at once, and the seed is culled. */
  refuseUnproven(failure: IsolationFailure, step: number): void {
    refuseUnproven(this.#state, failure, step);
  }

  /** Violations of this run, and the worst that the monitor read. */
  get isolation(): Readonly<IsolationTally> {
    return this.#state.isolation;
  }

  /**
   * Culls a seed for a reason of the trainer's own (a rollback, a NaN), at the boundary of `step`.
   * @returns false where there is nothing to cull: it is gone, on its way out, or part of the host
   */
  cull(seedId: string, cause: string, step: number): boolean {
    const seed = this.#state.registry.find(seedId);
    if (!seed || !canCull(seed.stage)) return false;
    planCull(this.#state, seed, { cause, step, atOnce: true });
    return true;
  }

  /** Ends embargoes that are over: G5, then DORMANT. Returns the ids of the seeds that are DORMANT now. */
  finishEmbargoes(step: number, probe: ResidueProbe): readonly string[] {
    return this.#watch.finish(step, probe);
  }

  /** Seeds, slots and embargoes as the policy sees them. */
  describe(step: number): RunDescription {
    return describeRun(this.#state, step);
  }

  /**
   * Replaces the teacher there was, if any; where it throws that one stays.
   * @throws KasminaError `invalid_argument` for a path outside `teacher/`, `overloaded` over the memory budget
   */
  registerTeacher(id: string, specs: TensorSpecs): Teacher {
    const before = this.#state.teacher.teacher;
    const teacher = this.#state.teacher.register(id, specs);
    if (before) this.telemetry.event(undefined, "teacher_deregistered", "INFO", { teacher_id: before.id });
    this.telemetry.event(undefined, "teacher_registered", "INFO", { teacher_id: id, bytes: teacher.bytes });
    return teacher;
  }

  /** The registered teacher; undefined where there is none. */
  get teacher(): Teacher | undefined {
    return this.#state.teacher.teacher;
  }

  deregisterTeacher(): void {
    deregisterTeacher(this.#state);
  }

  /** Why an update of these parameters is refused: the teacher's never change. */
  updateProblem(paths: Iterable<string>): UpdateProblem | undefined {
    return this.#state.teacher.updateProblem(paths);
  }

  /** Sends this step's packets: one for the run, one for each living seed. */
  flushTelemetry({ step, epoch }: Boundary): void {
    const living = this.#state.registry.livingSeeds();
    this.telemetry.at(step, epoch);
    this.#ingress.reportRejections();
    for (const seed of living) gaugeSeed(this.#state, seed, step);
    this.telemetry.gauge(undefined, "kasmina.seeds.active", living.length);
    this.telemetry.gauge(
      undefined,
      "kasmina.command_verifier.validation_latency_ms",
      this.#verifier.latencyMs,
    );
    this.telemetry.gauge(undefined, "kasmina.nonce_ledger.size", this.#ledger.size);
    this.telemetry.gauge(undefined, "kasmina.nonce_ledger.evictions_total", this.#ledger.evictions);
    this.telemetry.gauge(
      undefined,
      "kasmina.nonce_ledger.ttl_seconds",
      this.config.nonceLedger.ttlMs / 1_000,
    );
    this.telemetry.gauge(undefined, "kasmina.breaker.state", this.#fetchBreakerState(step), {
      breaker: "fetch",
    });
    this.telemetry.flush(living.map((seed) => seed.id));
  }

  /** For a checkpoint taken at a step boundary, after {@link finishEmbargoes}. */
  snapshot(): KasminaSnapshot {
    return takeSnapshot(this.#state, this.#ingress.lastSequence);
  }

  /**
   * Resumes from a checkpoint: journaled commands that came after it are replayed at their steps. A halt ended the run;
   * whoever resumes it lifts the halt.
   */
  resume(snapshot: KasminaSnapshot): void {
    restoreSnapshot(this.#state, snapshot);
    this.liftHalt();
    this.#ingress.replayAfter(snapshot.journalSequence);
  }

  /** Ends the emergency level HALT, where it is on. */
  liftHalt(): void {
    liftHalt(this.#state);
  }

  /** Returns to the state of the same run from `fromStep`, with `step` as the next one, without replaying any command. */
  rollBack(snapshot: KasminaSnapshot, fromStep: number, step: number): void {
    rollBackTo(this.#state, snapshot, { fromStep, step });
  }

  /** Tells whoever watches that the run ends in order, and not by falling silent. */
  reportEnd({ step, epoch }: Boundary): void {
    this.telemetry.at(step, epoch);
    this.telemetry.end();
  }

  /** Gives up kernels on their way, stops timers and closes the journal. */
  close(): void {
    this.#ingress.reportRejections(true);
    this.#state.kernels.cancelAll();
    this.#ledger.close();
    this.#journal.close();
  }

  /** 0 closed, 1 half open, 2 open. */
  #fetchBreakerState(step: number): number {
    return BREAKER_GAUGE[this.#state.fetchBreaker.state(this.#state.runTimeMs(step))];
  }
}

const BREAKER_GAUGE: { readonly [S in BreakerState]: number } = { closed: 0, half_open: 1, open: 2 };

function createLedger(
  { clock, newIncarnation = randomIncarnation }: KasminaOptions,
  config: KasminaConfig,
  telemetry: TelemetryHub,
): NonceLedger {
  return new NonceLedger({
    ...config.nonceLedger,
    clock,
    newIncarnation,
    onTruncated: ({ cause, dropped, floorMs }) =>
      telemetry.event(undefined, "nonce_ledger_truncated", "WARNING", { cause, dropped, floor_ms: floorMs }),
  });
}

function randomIncarnation(): string {
  return toHex(globalThis.crypto.getRandomValues(new Uint8Array(16)));
}
