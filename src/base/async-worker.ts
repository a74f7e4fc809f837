/**
 * Runs asynchronous jobs, a bounded number at once and a bounded number waiting. Every job that was
 * submitted comes to exactly one outcome, at shutdown too, and the outcome is a value, never a rejection.
 *
 * Our own because p-queue, the well-kept library for this, has no bound on its queue, starts a job's time-out only
 * when the job starts, takes no clock, and leaves the promises of cleared jobs pending for ever.
 */
import { type Clock, systemClock, type Timer } from "./clock.js";
import { KasminaError } from "./errors.js";

export interface AsyncWorkerOptions {
  /** Jobs that run at the same time. Default 8. */
  readonly maxRunning?: number;
  /** Jobs that wait for their turn; one more is rejected. Default 1,024. */
  readonly maxQueued?: number;
  /** How long {@link AsyncWorker.close} waits for running jobs to heed their signal. Default 5,000. */
  readonly shutdownMs?: number;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

export interface JobOptions {
  /** Cancels the job, waiting or running. */
  readonly signal?: AbortSignal;
  /** From submission, so it includes the time spent waiting. Default: none. */
  readonly deadlineMs?: number;
}

/** A job's work. It should stop when `signal` aborts; until it settles it keeps its place among the running. */
export type Job<T> = (signal: AbortSignal) => Promise<T> | T;

export type JobOutcome<T> =
  | { readonly status: "completed"; readonly value: T }
  | { readonly status: "failed"; readonly error: unknown }
  | { readonly status: "timed_out"; readonly waitedMs: number }
  | { readonly status: "canceled" }
  /** Never taken: the queue was full, or the worker closed. Not counted as submitted. */
  | { readonly status: "rejected"; readonly reason: "queue_full" | "closed" };

/** completed + failed + timedOut + canceled + those without an outcome yet = submitted. */
export interface AsyncWorkerStats {
  readonly submitted: number;
  readonly completed: number;
  readonly failed: number;
  readonly timedOut: number;
  readonly canceled: number;
  readonly rejected: number;
  readonly queued: number;
  /** Includes `lingering`. */
  readonly running: number;
  /** Running jobs whose outcome (timed out, canceled) is settled, but whose work has not stopped yet. */
  readonly lingering: number;
  readonly peakRunning: number;
}

type Status = JobOutcome<unknown>["status"];

interface Entry {
  readonly start: () => Promise<void>;
  readonly settle: (outcome: JobOutcome<never>) => void;
}

export class AsyncWorker {
  readonly #maxRunning: number;
  readonly #maxQueued: number;
  readonly #shutdownMs: number;
  readonly #clock: Clock;
  readonly #queue = new Set<Entry>();
  readonly #running = new Set<Entry>();
  readonly #lingering = new Set<Entry>();
  readonly #counts: Record<Status, number> = {
    completed: 0,
    failed: 0,
    timed_out: 0,
    canceled: 0,
    rejected: 0,
  };
  readonly #followed = new Map<AbortSignal, { cancels: Set<() => void>; onAbort: () => void }>();
  #submitted = 0;
  #peakRunning = 0;
  #closing: Promise<{ readonly lingering: number }> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: AsyncWorkerOptions = {}) {
    this.#maxRunning = wholeNumber("maxRunning", options.maxRunning ?? 8, 1);
    this.#maxQueued = wholeNumber("maxQueued", options.maxQueued ?? 1024, 0);
    this.#shutdownMs = options.shutdownMs ?? 5000;
    this.#clock = options.clock ?? systemClock;
  }

  get stats(): AsyncWorkerStats {
    const { completed, failed, timed_out: timedOut, canceled, rejected } = this.#counts;
    return {
      submitted: this.#submitted,
      completed,
      failed,
      timedOut,
      canceled,
      rejected,
      queued: this.#queue.size,
      running: this.#running.size,
      lingering: this.#lingering.size,
      peakRunning: this.#peakRunning,
    };
  }

  /** Starts the job at once where there is room, else queues it, first come, first served. */
  submit<T>(job: Job<T>, options: JobOptions = {}): Promise<JobOutcome<T>> {
    const refusal = this.#refusal();
    if (refusal) {
      this.#counts.rejected++;
      return Promise.resolve({ status: "rejected", reason: refusal });
    }
    this.#submitted++;
    return new Promise((resolve) => {
      const entry = this.#entry(job, options, resolve);
      if (options.signal?.aborted) {
        entry.settle({ status: "canceled" });
      } else {
        this.#queue.add(entry);
        this.#startNext();
      }
    });
  }

  /**
   * Takes no more jobs, settles every waiting and running one as canceled, and waits at most `shutdownMs` for the
   * running ones to stop. Calling it again gives the same promise.
   * @returns how many jobs went on regardless
   */
  close(): Promise<{ readonly lingering: number }> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  #refusal(): "queue_full" | "closed" | undefined {
    if (this.#closing) return "closed";
    const full = this.#running.size >= this.#maxRunning && this.#queue.size >= this.#maxQueued;
    return full ? "queue_full" : undefined;
  }

  #entry<T>(job: Job<T>, options: JobOptions, resolve: (outcome: JobOutcome<T>) => void): Entry {
    const controller = new AbortController();
    const submittedAtMs = this.#clock.monotonicMs();
    let settled = false;
    let timer: Timer | undefined;
    const cancel = (): void => settle({ status: "canceled" });
    const settle = (outcome: JobOutcome<T>): void => {
      if (settled) return;
      settled = true;
      this.#counts[outcome.status]++;
      this.#queue.delete(entry);
      timer?.cancel();
      if (options.signal) this.#unfollow(options.signal, cancel);
      if (outcome.status === "timed_out" || outcome.status === "canceled") {
        if (this.#running.has(entry)) this.#lingering.add(entry);
        controller.abort(abortReason(outcome.status));
      }
      resolve(outcome);
    };
    const start = async (): Promise<void> => {
      try {
        settle({ status: "completed", value: await job(controller.signal) });
      } catch (error) {
        settle({ status: "failed", error });
      }
    };
    const entry: Entry = { start, settle };
    if (options.deadlineMs !== undefined) {
      const expire = (): void =>
        settle({ status: "timed_out", waitedMs: this.#clock.monotonicMs() - submittedAtMs });
      timer = this.#clock.setTimer(expire, options.deadlineMs);
    }
    if (options.signal) this.#follow(options.signal, cancel);
    return entry;
  }

  /** One listener for each signal, however many jobs share it: Node warns of a leak from eleven on. */
  #follow(signal: AbortSignal, cancel: () => void): void {
    const known = this.#followed.get(signal);
    if (known) {
      known.cancels.add(cancel);
      return;
    }
    const cancels = new Set([cancel]);
    const onAbort = (): void => {
      for (const each of [...cancels]) each();
    };
    this.#followed.set(signal, { cancels, onAbort });
    signal.addEventListener("abort", onAbort);
  }

  #unfollow(signal: AbortSignal, cancel: () => void): void {
    const known = this.#followed.get(signal);
    if (!known?.cancels.delete(cancel) || known.cancels.size > 0) return;
    this.#followed.delete(signal);
    signal.removeEventListener("abort", known.onAbort);
  }

  #startNext(): void {
    for (const entry of this.#queue) {
      if (this.#running.size >= this.#maxRunning) return;
      this.#queue.delete(entry);
      this.#running.add(entry);
      this.#peakRunning = Math.max(this.#peakRunning, this.#running.size);
      void entry.start().then(() => this.#stopped(entry));
    }
  }

  #stopped(entry: Entry): void {
    this.#running.delete(entry);
    this.#lingering.delete(entry);
    if (this.#running.size === 0) this.#onIdle?.();
    this.#startNext();
  }

  async #shutDown(): Promise<{ readonly lingering: number }> {
    for (const entry of [...this.#queue, ...this.#running]) entry.settle({ status: "canceled" });
    if (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.setTimer(resolve, this.#shutdownMs);
        this.#onIdle = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    return { lingering: this.#running.size };
  }
}

function abortReason(status: "timed_out" | "canceled"): KasminaError {
  return status === "timed_out"
    ? new KasminaError("timeout", "the job's deadline passed")
    : new KasminaError("canceled", "the job was canceled");
}

function wholeNumber(name: string, value: number, least: number): number {
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`${name}: expected a whole number of at least ${least}, got ${value}`);
  return value;
}
