/**
 * Rollback: the last good state of a run, kept in memory, and the way back to it. What is put back is everything that
 * learns, the seeds with their stages, and the hyper-parameters; the run goes on from the present step with new data.
 */
import { type Clock, KasminaError } from "../base/index.js";
import type { RollbackSource, Stage, Tensors } from "../contracts/index.js";
import type { Kasmina, KasminaSnapshot } from "../kasmina/index.js";
import type { HyperControls, HyperParameters } from "./hyper.js";
import type { ModelState } from "./model-state.js";

/** A state to which a run can return. */
export interface GoodState {
  /** Steps done then. */
  readonly step: number;
  readonly tensors: Tensors;
  readonly kasmina: KasminaSnapshot;
  readonly hyper: Readonly<Record<string, HyperParameters>>;
}

export interface RollbackOptions {
  readonly model: ModelState;
  readonly hyper: HyperControls;
  readonly kasmina: Kasmina;
  readonly clock: Clock;
  /** Reads the last checkpoint that verifies; undefined where there is none. */
  readonly readCheckpoint?: () => Promise<GoodState | undefined>;
}

/** Rollbacks without an observation in between after which the run gives up. */
const MAX_IN_A_ROW = 3;
/** Seeds in these stages are in the output or about to be: after a rollback for cause they are culled. */
const INVOLVED: readonly Stage[] = ["BLENDING", "SHADOWING", "PROBATIONARY"];

export class Rollback {
  readonly #options: RollbackOptions;
  #good: GoodState | undefined;
  #inARow = 0;

  constructor(options: RollbackOptions) {
    this.#options = options;
  }

  /** The state it would return to, for a checkpoint. */
  get good(): GoodState | undefined {
    return this.#good;
  }

  /** Goes on with the good state of a checkpoint. */
  resume(good: GoodState | undefined): void {
    this.#good = good;
  }

  /** Keeps the present state as the one to return to. */
  async keep(step: number): Promise<void> {
    const { model, hyper, kasmina, clock } = this.#options;
    const startMs = clock.monotonicMs();
    this.#good = {
      step,
      tensors: await model.snapshot(),
      kasmina: kasmina.snapshot(),
      hyper: hyper.snapshot(),
    };
    this.#inARow = 0;
    kasmina.telemetry.event(undefined, "rollback_ready", "INFO", {
      step,
      latency_ms: clock.monotonicMs() - startMs,
    });
  }

  /**
   * Returns to the last good state because training went wrong, and culls the seeds that were in the output then.
   * @throws KasminaError `loss_not_finite` where there is no good state, or returning to it did not help
   */
  async recover(reason: string, step: number): Promise<void> {
    if (!this.#good)
      throw new KasminaError("loss_not_finite", `${reason} at step ${step}; a lower learning rate may help`);
    if (++this.#inARow > MAX_IN_A_ROW) {
      throw new KasminaError(
        "loss_not_finite",
        `${reason} at step ${step}, again after ${MAX_IN_A_ROW} rollbacks; a lower learning rate may help`,
      );
    }
    await this.restore("memory", reason, step);
    const { kasmina } = this.#options;
    const involved = kasmina.seeds().filter(({ stage }) => INVOLVED.includes(stage));
    for (const { id } of involved) kasmina.cull(id, `rollback: ${reason}`, step);
  }

  /** Returns to the last good state, in memory or on disk. Returns whether there was one. */
  async restore(source: RollbackSource, reason: string, step: number): Promise<boolean> {
    const { model, hyper, kasmina, clock, readCheckpoint } = this.#options;
    const startMs = clock.monotonicMs();
    const good = source === "memory" ? this.#good : await readCheckpoint?.();
    if (!good) {
      kasmina.telemetry.event(undefined, "rollback_restored", "ERROR", {
        source,
        reason,
        restored: false,
        step,
      });
      return false;
    }
    model.restore(good.tensors);
    hyper.restore(good.hyper);
    kasmina.rollBack(good.kasmina, step - good.step);
    const latencyMs = clock.monotonicMs() - startMs;
    kasmina.telemetry.gauge(undefined, "kasmina.rollback.latency_ms", latencyMs);
    const told = { source, reason, restored: true, restored_step: good.step, step, latency_ms: latencyMs };
    kasmina.telemetry.event(undefined, "rollback_restored", "WARNING", told);
    return true;
  }
}
