/**
 * Rollback: the last good state of a run, in memory and on disk, and the way back to it. What is put back is everything
 * that learns, the seeds with their stages, and the hyper-parameters; the run goes on from the present step with new data.
 *
 * The first way back is to memory. Where the run fails again before another state was found good, that one was not
 * good either, and the run returns to the checkpoint.
 */
import { type Clock, KasminaError } from "../../base/index.js";
import { type Attributes, isBlended, type RollbackSource, type Tensors } from "../../contracts/index.js";
import type { Kasmina, KasminaSnapshot, Seed } from "../../kasmina/index.js";
import type { HyperControls, HyperParameters } from "../hyper.js";
import type { ModelState } from "../model-state.js";
import { nonFiniteIn, type TrainingFailure } from "./training-failure.js";

/** A state to which a run can return. */
export interface GoodState {
  /** Steps done then. */
  readonly step: number;
  readonly tensors: Tensors;
  readonly kasmina: KasminaSnapshot;
  readonly hyper: Readonly<Record<string, HyperParameters>>;
}

/** What a checkpoint keeps of it. */
export interface RollbackSnapshot {
  /** The state that a rollback to memory would return to. */
  readonly good: GoodState | undefined;
  /** Rollbacks since a state was last found good. */
  readonly rollbacksInARow: number;
}

/**
 * Reads the last checkpoint from before `step` that verifies; undefined where there is none. It must be the same one whenever
 * the run comes to this step.
 */
export type CheckpointReader = (step: number) => Promise<GoodState | undefined>;

export interface RollbackOptions {
  readonly model: ModelState;
  readonly hyper: HyperControls;
  readonly kasmina: Kasmina;
  readonly clock: Clock;
  readonly readCheckpoint?: CheckpointReader | undefined;
}

/** Rollbacks of its own, without an observation or a commanded rollback in between, after which the run gives up. */
const MAX_IN_A_ROW = 3;

export class Rollback {
  readonly #options: RollbackOptions;
  #good: GoodState | undefined;
  #inARow = 0;

  constructor(options: RollbackOptions) {
    this.#options = options;
  }

  snapshot(): RollbackSnapshot {
    return { good: this.#good, rollbacksInARow: this.#inARow };
  }

  resume({ good, rollbacksInARow }: RollbackSnapshot): void {
    this.#good = good;
    this.#inARow = rollbacksInARow;
  }

  /**
   * Keeps the present state, before `step`, as the one to return to, unless something in it is not finite. Seeds of which
   * something is not are culled then: one that is paused, say, shows it nowhere else.
   * @returns whether the host is not finite
   */
  async keep(step: number): Promise<{ readonly hostNonFinite: boolean }> {
    const { model, hyper, kasmina, clock } = this.#options;
    const startMs = clock.monotonicMs();
    const tensors = await model.snapshot();
    const nonFinite = nonFiniteIn(tensors);
    for (const id of nonFinite.seedIds) kasmina.cull(id, "state_not_finite", step + 1);
    if (nonFinite.host || nonFinite.seedIds.length > 0) return { hostNonFinite: nonFinite.host };
    this.#good = {
      step,
      tensors,
      kasmina: kasmina.snapshot(),
      hyper: hyper.snapshot(),
    };
    this.#inARow = 0;
    const latencyMs = clock.monotonicMs() - startMs;
    kasmina.telemetry.event(undefined, "rollback_ready", "INFO", { step, latency_ms: latencyMs });
    return { hostNonFinite: false };
  }

  /**
   * Returns to a good state because training went wrong at `step`, and culls the seeds to blame; the next step is the one
   * after it.
   * @throws KasminaError `loss_not_finite` where there is no good state, or returning to it did not help
   */
  async recover(failure: TrainingFailure, step: number): Promise<void> {
    this.#inARow++;
    if (this.#inARow > MAX_IN_A_ROW)
      throw givenUp(failure, `at step ${step}, again after ${MAX_IN_A_ROW} rollbacks`);
    const sources: readonly RollbackSource[] =
      this.#inARow === 1 ? ["memory", "checkpoint"] : ["checkpoint", "memory"];
    for (const source of sources) if (await this.#return(source, failure, step, step + 1)) return;
    this.#reportMissing({ source: sources.join(", "), cause: failure.cause, reason: failure.reason, step });
    if (failure.cause !== "isolation_breaker") throw givenUp(failure, `at step ${step}`);
    // The host still computes what its parameters say, and the seed that leaked is on its way out.
  }

  /** Returns to a good state because a command says so, before `step` runs. Returns whether there was one. */
  async restore(source: RollbackSource, reason: string, step: number): Promise<boolean> {
    const command: TrainingFailure = { cause: "command", reason, seedIds: [] };
    const restored = await this.#return(source, command, step, step);
    // Whoever asked for it takes the run out of its row of failures; no observation may come to do that at this boundary.
    if (restored) this.#inARow = 0;
    else this.#reportMissing({ source, cause: "command", reason, step });
    return restored;
  }

  async #return(
    source: RollbackSource,
    failure: TrainingFailure,
    step: number,
    nextStep: number,
  ): Promise<boolean> {
    const { model, hyper, kasmina, clock, readCheckpoint } = this.#options;
    const startMs = clock.monotonicMs();
    const good = source === "memory" ? this.#good : await readCheckpoint?.(nextStep);
    const nonFinite = good && nonFiniteIn(good.tensors);
    if (!good || nonFinite?.host) return false;
    const before = kasmina.seeds();
    model.restore(good.tensors);
    hyper.restore(good.hyper);
    kasmina.rollBack(good.kasmina, good.step, nextStep);
    const returned = movedBack(before, kasmina.seeds());
    const toBlame = failure.seedIds ?? before.filter(isInvolved).map(({ id }) => id);
    const culled = this.#cull(new Set([...toBlame, ...(nonFinite?.seedIds ?? [])]), failure, nextStep);
    const latencyMs = clock.monotonicMs() - startMs;
    kasmina.telemetry.gauge(undefined, "kasmina.rollback.latency_ms", latencyMs);
    kasmina.telemetry.event(undefined, "rollback_restored", "WARNING", {
      source,
      cause: failure.cause,
      reason: failure.reason,
      restored: true,
      restored_step: good.step,
      step,
      latency_ms: latencyMs,
      culled: culled.join(", "),
      returned: returned.join(", "),
    });
    return true;
  }

  /** Culls the seeds to blame, as far as they are there. */
  #cull(seedIds: ReadonlySet<string>, { cause }: TrainingFailure, step: number): readonly string[] {
    const { kasmina } = this.#options;
    return [...seedIds].filter((id) => kasmina.cull(id, `rollback: ${cause}`, step));
  }

  #reportMissing(attributes: Attributes): void {
    const { telemetry } = this.#options.kasmina;
    telemetry.event(undefined, "rollback_restored", "ERROR", { ...attributes, restored: false });
  }
}

/** Whether the seed is culled where nothing else is to blame. */
function isInvolved({ stage, pausedFrom }: Seed): boolean {
  return isBlended(stage) && pausedFrom === undefined;
}

function givenUp({ reason }: TrainingFailure, when: string): KasminaError {
  return new KasminaError("loss_not_finite", `${reason} ${when}; a lower learning rate may help`);
}

/** Seeds that are in another stage than before, or gone: `s1 BLENDING → TRAINING`. */
function movedBack(before: readonly Seed[], after: readonly Seed[]): readonly string[] {
  const now = new Map(after.map(({ id, stage }) => [id, stage]));
  return before
    .filter(({ id, stage }) => now.get(id) !== stage)
    .map(({ id, stage }) => `${id} ${stage} → ${now.get(id) ?? "none"}`);
}
