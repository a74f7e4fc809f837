/** Time as a value that is handed in, so that tests decide what time it is and no test sleeps. */
export interface Clock {
  /** Wall-clock time, milliseconds since 1970-01-01 UTC. */
  nowMs(): number;
  /** Monotonic time in milliseconds, for durations and deadlines; its zero means nothing. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`. The timer never keeps the process alive. */
  setTimer(callback: () => void, delayMs: number): Timer;
}

export interface Timer {
  cancel(): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(callback, delayMs) {
    const handle: unknown = setTimeout(callback, delayMs);
    if (typeof handle === "object" && handle !== null && "unref" in handle)
      (handle as { unref(): void }).unref();
    return { cancel: () => clearTimeout(handle as ReturnType<typeof setTimeout>) };
  },
};

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that moves only when told to; timers fire in due order while it advances. */
export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #timers = new Set<PendingTimer>();

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** How many timers are waiting. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Moves both times forward and fires every timer that comes due, in order. */
  advance(ms: number): void {
    const targetMs = this.#monotonicMs + ms;
    for (let timer = this.#nextDue(targetMs); timer; timer = this.#nextDue(targetMs)) {
      this.#timers.delete(timer);
      this.#moveTo(Math.max(timer.dueMs, this.#monotonicMs));
      timer.callback();
    }
    this.#moveTo(targetMs);
  }

  /** Sets the wall clock alone, as an operator or NTP would; monotonic time does not move. */
  jumpWallTo(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #nextDue(targetMs: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > targetMs) continue;
      if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order))
        next = timer;
    }
    return next;
  }
}
