/** A circuit breaker: so many failures within a window open it; after a cool-down one success closes it again. */

export type BreakerState = "closed" | "open" | "half_open";

export interface BreakerLimits {
  readonly failures: number;
  readonly windowMs: number;
  readonly cooldownMs: number;
}

/**
 * Time is handed in with every call, in milliseconds that never fall. Breakers that govern training are fed run
 * time, step × `stepMs`, so that they open at the same step on every machine.
 */
export class Breaker {
  readonly #limits: BreakerLimits;
  #failuresMs: number[] = [];
  #openedMs: number | undefined;

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  state(nowMs: number): BreakerState {
    if (this.#openedMs === undefined) return "closed";
    return nowMs - this.#openedMs >= this.#limits.cooldownMs ? "half_open" : "open";
  }

  /** Whether work may be tried. */
  allows(nowMs: number): boolean {
    return this.state(nowMs) !== "open";
  }

  /** Whether this failure opened it. */
  recordFailure(nowMs: number): boolean {
    const state = this.state(nowMs);
    if (state === "open") return false;
    this.#failuresMs = this.#failuresMs.filter((at) => nowMs - at < this.#limits.windowMs);
    this.#failuresMs.push(nowMs);
    const opens = state === "half_open" || this.#failuresMs.length >= this.#limits.failures;
    if (opens) this.open(nowMs);
    return opens;
  }

  /** Whether this success closed it. A success while closed forgives nothing: failures age out of the window. */
  recordSuccess(nowMs: number): boolean {
    if (this.state(nowMs) !== "half_open") return false;
    this.close();
    return true;
  }

  open(nowMs: number): void {
    this.#openedMs = nowMs;
    this.#failuresMs = [];
  }

  close(): void {
    this.#openedMs = undefined;
    this.#failuresMs = [];
  }

  snapshot(): BreakerSnapshot {
    return {
      failuresMs: [...this.#failuresMs],
      ...(this.#openedMs !== undefined && { openedMs: this.#openedMs }),
    };
  }

  restore(snapshot: BreakerSnapshot): void {
    this.#failuresMs = [...snapshot.failuresMs];
    this.#openedMs = snapshot.openedMs;
  }
}

export interface BreakerSnapshot {
  readonly failuresMs: readonly number[];
  readonly openedMs?: number;
}
