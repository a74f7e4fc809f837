/** Watches the training loss for what no amount of training repairs: values that are not finite, and spikes that stay. */
import { mean } from "../../base/index.js";

/** Steps that a spike is judged on, and the steps before them that it is compared with. */
const RECENT = 8;
const BEFORE = 56;
/** The recent mean must be above `FACTOR` times the mean before, and by `MARGIN` nats: one hard batch is no spike. */
const FACTOR = 2;
const MARGIN = 0.5;

export type LossProblem = "loss_not_finite" | "loss_spike";

export class LossWatch {
  #losses: number[] = [];

  /** The losses it remembers, for a checkpoint. */
  get losses(): readonly number[] {
    return this.#losses;
  }

  /** Takes in the loss of one step; says what is wrong, if anything. */
  see(loss: number): LossProblem | undefined {
    if (!Number.isFinite(loss)) return "loss_not_finite";
    this.#losses = [...this.#losses.slice(1 - RECENT - BEFORE), loss];
    if (this.#losses.length < RECENT + BEFORE) return undefined;
    const before = mean(this.#losses.slice(0, BEFORE));
    return mean(this.#losses.slice(BEFORE)) > FACTOR * before + MARGIN ? "loss_spike" : undefined;
  }

  /** Forgets everything, or goes on from what a checkpoint remembered. */
  restart(losses: readonly number[] = []): void {
    this.#losses = [...losses];
  }
}
