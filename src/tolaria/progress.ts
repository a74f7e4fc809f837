/** How far a run is, what it has cost, and the losses that its reports average. */
import { mean } from "../base/index.js";
import { FLOPS_PARTS, type FlopsByPart, NO_FLOPS, totalFlops } from "../contracts/index.js";

export interface ProgressSnapshot {
  /** Steps done, over all epochs. */
  readonly step: number;
  readonly flopsTotal: number;
  /** What they went into; left out by runs of the time before it was counted. */
  readonly flopsByPart?: FlopsByPart;
  /** Of the epoch under way. */
  readonly epochLosses: readonly number[];
  /** Since the last observation. */
  readonly recentLosses: readonly number[];
  /** Whether the last step ended where the run is observed, and that has not happened yet. */
  readonly observationDue: boolean;
  /** The lowest held-out loss at the end of an epoch so far, and how many counted epochs ago; left out before the first. */
  readonly best?: BestEpoch | undefined;
}

export interface BestEpoch {
  readonly loss: number;
  readonly epochsSince: number;
}

export class Progress {
  readonly #stepsPerEpoch: number;
  /** Steps done, over all epochs. */
  step = 0;
  observationDue = false;
  #epochLosses: number[] = [];
  #recentLosses: number[] = [];
  #best: BestEpoch | undefined;
  readonly #flops = { ...NO_FLOPS };
  /** Of which nobody knows what they went into. */
  #flopsBefore = 0;

  constructor(stepsPerEpoch: number) {
    this.#stepsPerEpoch = stepsPerEpoch;
  }

  /** Steps done, and the epoch under way, from 0. */
  get now(): { readonly step: number; readonly epoch: number } {
    return { step: this.step, epoch: Math.floor(this.step / this.#stepsPerEpoch) };
  }

  /** Whether the next step is the first of an epoch; so it is where the last epoch has just ended. */
  get atEpochStart(): boolean {
    return this.step % this.#stepsPerEpoch === 0;
  }

  get flops(): number {
    return this.#flopsBefore + totalFlops(this.#flops);
  }

  /** Undefined where the run began when it was not counted. */
  get flopsByPart(): FlopsByPart | undefined {
    return this.#flopsBefore === 0 ? { ...this.#flops } : undefined;
  }

  /** Takes in what was computed, so many times. */
  spend(flops: Partial<FlopsByPart>, times = 1): void {
    for (const part of FLOPS_PARTS) this.#flops[part] += times * (flops[part] ?? 0);
  }

  /** Takes in the loss of a step that counts. */
  addLoss(loss: number): void {
    this.#epochLosses.push(loss);
    this.#recentLosses.push(loss);
  }

  /** Mean of the losses since the last observation. */
  get recentLoss(): number {
    return mean(this.#recentLosses);
  }

  endObservation(): void {
    this.observationDue = false;
    this.#recentLosses = [];
  }

  /** Mean of the epoch's losses, which are forgotten with it. */
  endEpoch(): number {
    const loss = mean(this.#epochLosses);
    this.#epochLosses = [];
    return loss;
  }

  /**
   * Takes in the held-out loss at the end of an epoch.
   * @param counts whether one without a better loss counts as such
   * @returns whether it is lower than ever before
   */
  seeEpoch(loss: number, counts: boolean): boolean {
    const isFirst = this.#best === undefined || (Number.isNaN(this.#best.loss) && !Number.isNaN(loss));
    if (isFirst || loss < (this.#best?.loss ?? 0)) {
      this.#best = { loss, epochsSince: 0 };
      return true;
    }
    if (counts && this.#best) this.#best = { ...this.#best, epochsSince: this.#best.epochsSince + 1 };
    return false;
  }

  /** Counted epochs since the best one. */
  get epochsSinceBest(): number {
    return this.#best?.epochsSince ?? 0;
  }

  snapshot(): ProgressSnapshot {
    return {
      step: this.step,
      flopsTotal: this.flops,
      ...this.#knownFlops(),
      epochLosses: [...this.#epochLosses],
      recentLosses: [...this.#recentLosses],
      observationDue: this.observationDue,
      ...(this.#best && { best: this.#best }),
    };
  }

  #knownFlops(): Pick<ProgressSnapshot, "flopsByPart"> {
    const { flopsByPart } = this;
    return flopsByPart ? { flopsByPart } : {};
  }

  restore(snapshot: ProgressSnapshot): void {
    const { step, flopsTotal, flopsByPart, epochLosses, recentLosses, observationDue, best } = snapshot;
    this.#best = best;
    this.observationDue = observationDue;
    this.step = step;
    Object.assign(this.#flops, flopsByPart ?? NO_FLOPS);
    this.#flopsBefore = flopsTotal - totalFlops(this.#flops);
    this.#epochLosses = [...epochLosses];
    this.#recentLosses = [...recentLosses];
  }
}
