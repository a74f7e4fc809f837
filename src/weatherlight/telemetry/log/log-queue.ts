/**
 * What waits to be logged to one target. No run ever waits for it: points are dropped where a target is too slow, what fails is said once,
 * and the end of a run gives it a few seconds.
 */
import { abortable, type Clock, KasminaError, messageOf } from "../../../base/index.js";
import type { LogPoint } from "./log-points.js";
import { type LogEnd, type LoggedRun, type LogTarget, MAX_BATCH } from "./log-target.js";

/** Points that wait, at most; the oldest go first. Some 3 MB. */
const MAX_WAITING = 20_000;
const WRITE_EVERY_MS = 1_000;
/** One call of a target. */
const ATTEMPT_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** From the end of a run until its log is given up. */
const END_MS = 5_000;

export interface LogQueueOptions {
  readonly clock: Clock;
  /** Is called once for what fails, and once more at the end where points are lost. */
  readonly onProblem: (problem: string) => void;
}

export class LogQueue {
  readonly #target: LogTarget;
  readonly #run: LoggedRun;
  readonly #clock: Clock;
  readonly #onProblem: (problem: string) => void;
  /** Aborts what is still going on when the time of the end is over. */
  readonly #end = new AbortController();
  #waiting: LogPoint[] = [];
  #writing: Promise<void> | undefined;
  #wake = (): void => {};
  #isOpen = false;
  #isClosing = false;
  #hasFailed = false;
  #gaveUp = false;
  #lost = 0;

  constructor(target: LogTarget, run: LoggedRun, { clock, onProblem }: LogQueueOptions) {
    this.#target = target;
    this.#run = run;
    this.#clock = clock;
    this.#onProblem = onProblem;
  }

  add(points: readonly LogPoint[]): void {
    if (this.#gaveUp || this.#isClosing) return;
    for (const point of points) this.#waiting.push(point);
    this.#dropOldest();
    if (this.#waiting.length === 0) return;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes what waits and says how the run ended. Takes a few seconds at most, and never rejects. */
  async close(end: LogEnd): Promise<void> {
    this.#isClosing = true;
    const timer = this.#clock.setTimer(() => this.#end.abort(noAnswer(END_MS)), END_MS);
    this.#wake();
    await this.#writing;
    if (this.#isOpen && !this.#gaveUp && this.#waiting.length === 0)
      await this.#attempt((signal) => this.#target.close(end, this.#clock.nowMs(), signal));
    timer.cancel();
    this.#lost += this.#waiting.length;
    if (this.#lost > 0) this.#onProblem(`${this.#target.name}: ${this.#lost} points were lost`);
  }

  /** Until nothing waits; what fails is tried again later, at the end of a run once. */
  async #writeAll(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    await this.#pause(WRITE_EVERY_MS);
    while (this.#waiting.length > 0) {
      const done = await this.#writeBatch();
      if (this.#gaveUp || (!done && this.#isClosing)) return;
      if (done) retryMs = FIRST_RETRY_MS;
      else {
        await this.#pause(retryMs);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      }
    }
  }

  async #writeBatch(): Promise<boolean> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#isOpen ||= await this.#attempt((signal) => this.#target.open(this.#run, signal));
    const done = this.#isOpen && (await this.#attempt((signal) => this.#target.write(batch, signal)));
    if (done || this.#gaveUp) return done;
    this.#waiting = [...batch, ...this.#waiting];
    this.#dropOldest();
    return false;
  }

  /** Whether it succeeded. */
  async #attempt(work: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    const late = new AbortController();
    const timer = this.#clock.setTimer(() => late.abort(noAnswer(ATTEMPT_MS)), ATTEMPT_MS);
    const signal = AbortSignal.any([late.signal, this.#end.signal]);
    try {
      // Also of a target that does not heed its signal.
      await abortable(work(signal), signal);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    } finally {
      timer.cancel();
    }
  }

  #failed(error: unknown): void {
    const again = error instanceof KasminaError && ["unavailable", "timeout"].includes(error.code);
    if (!again) {
      this.#gaveUp = true;
      this.#waiting = [];
    }
    if (this.#hasFailed && again) return;
    this.#hasFailed = true;
    const next = again ? "the run goes on, and this is tried again" : "nothing more is logged there";
    this.#onProblem(`${this.#target.name}: ${messageOf(error)}; ${next}`);
  }

  #dropOldest(): void {
    const excess = this.#waiting.length - MAX_WAITING;
    if (excess <= 0) return;
    this.#lost += excess;
    this.#waiting.splice(0, excess);
  }

  #pause(ms: number): Promise<void> {
    if (this.#isClosing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(resolve, ms);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function noAnswer(ms: number): KasminaError {
  return new KasminaError("timeout", `no answer within ${ms / 1_000} s`);
}
