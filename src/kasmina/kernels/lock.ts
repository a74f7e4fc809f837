/**
 * One writer a blueprint: attaching, evicting and resetting a blueprint's kernels happen one after another, in the
 * order they were asked for.
 */
import { abortError, type Clock, systemClock, type Timer } from "../../base/index.js";

export interface LockContention {
  readonly blueprintId: string;
  /** So far. */
  readonly waitedMs: number;
  /** Those still waiting for this blueprint, this one included. */
  readonly waiters: number;
}

export interface BlueprintLocksOptions {
  readonly clock?: Clock;
  /** A wait over this is reported, once. Default 100. */
  readonly contentionMs?: number;
  readonly onContention?: (contention: LockContention) => void;
}

export interface LockStats {
  readonly acquired: number;
  readonly canceled: number;
  readonly contended: number;
  /** Summed over all waits that ended. */
  readonly waitMsTotal: number;
  /** The longest wait that ended. */
  readonly waitMsMax: number;
}

/** Gives the lock back. A second call does nothing. */
export type Release = () => void;

interface Waiter {
  readonly grant: () => void;
}

export class BlueprintLocks {
  readonly #clock: Clock;
  readonly #contentionMs: number;
  readonly #onContention: (contention: LockContention) => void;
  /** Those waiting behind the holder of each lock that is held. */
  readonly #queues = new Map<string, Set<Waiter>>();
  readonly #stats = { acquired: 0, canceled: 0, contended: 0, waitMsTotal: 0, waitMsMax: 0 };

  constructor(options: BlueprintLocksOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#contentionMs = options.contentionMs ?? 100;
    this.#onContention = options.onContention ?? (() => {});
  }

  get stats(): LockStats {
    return { ...this.#stats };
  }

  /** Blueprints whose lock is held now. */
  get held(): readonly string[] {
    return [...this.#queues.keys()];
  }

  /** Rejects with KasminaError `canceled` (or the signal's own error) when the wait is given up. */
  async acquire(blueprintId: string, signal?: AbortSignal): Promise<Release> {
    if (signal?.aborted) {
      this.#stats.canceled++;
      throw abortError(signal);
    }
    const queue = this.#queues.get(blueprintId);
    if (queue) await this.#wait(blueprintId, queue, signal);
    else this.#queues.set(blueprintId, new Set());
    this.#stats.acquired++;
    return this.#releaseOnce(blueprintId);
  }

  /** Runs `work` as the only holder. */
  async withLock<T>(
    blueprintId: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T> | T,
  ): Promise<T> {
    const release = await this.acquire(blueprintId, signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #wait(blueprintId: string, queue: Set<Waiter>, signal: AbortSignal | undefined): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    let reported = false;
    const report = (): void => {
      if (reported) return;
      reported = true;
      this.#stats.contended++;
      const waitedMs = this.#clock.monotonicMs() - startedMs;
      this.#onContention({ blueprintId, waitedMs, waiters: queue.size });
    };
    return new Promise((resolve, reject) => {
      const end = (): void => {
        const waitedMs = this.#clock.monotonicMs() - startedMs;
        if (waitedMs > this.#contentionMs) report();
        timer.cancel();
        queue.delete(waiter);
        signal?.removeEventListener("abort", cancel);
        this.#stats.waitMsTotal += waitedMs;
        this.#stats.waitMsMax = Math.max(this.#stats.waitMsMax, waitedMs);
      };
      const waiter: Waiter = {
        grant: () => {
          end();
          resolve();
        },
      };
      const cancel = (): void => {
        end();
        this.#stats.canceled++;
        if (signal) reject(abortError(signal));
      };
      const timer: Timer = this.#clock.setTimer(report, this.#contentionMs + 1);
      queue.add(waiter);
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  #releaseOnce(blueprintId: string): Release {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const queue = this.#queues.get(blueprintId);
      const [next] = queue ?? [];
      if (next) next.grant();
      else this.#queues.delete(blueprintId);
    };
  }
}
