/**
 * Keeps programs running that Weatherlight started: one that ends with an error is started again, later each time, and given up loudly
 * when it never lives for long.
 */
import { z } from "zod";
import { type Clock, systemClock, type Timer } from "../../base/index.js";

/** A program under supervision: a `kasmina` command with its arguments, and what its environment has besides Weatherlight's. */
export const programsSchema = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "must be 1 to 64 letters, digits, . _ -"),
      args: z.array(z.string()).min(1),
      env: z.record(z.string(), z.string()).optional(),
    }),
  )
  .min(1)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, "two have the same name");

export type SupervisedProgram = z.infer<typeof programsSchema>[number];

/** A program that runs. */
export interface RunningProgram {
  /** How it ended: `code` null where a signal ended it. Resolves in any case. */
  readonly ended: Promise<{ readonly code: number | null; readonly reason: string }>;
  /** Asks it to end; `now`: ends it. */
  stop(now: boolean): void;
}

export type SupervisorAlert =
  | {
      readonly kind: "program_ended";
      readonly name: string;
      readonly reason: string;
      readonly restartMs: number;
    }
  | { readonly kind: "program_given_up"; readonly name: string; readonly reason: string };

export interface SupervisorOptions {
  readonly programs: readonly SupervisedProgram[];
  /** Must not throw. */
  readonly start: (program: SupervisedProgram) => RunningProgram;
  /** Must not throw. */
  readonly onAlert: (alert: SupervisorAlert) => void;
  readonly clock?: Clock;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** One that lived for so long had come up: its next end is a first one again. */
const LIVED_MS = 60_000;
/** Ends in a row, each soon after its start. */
const MAX_ENDS = 6;
/** Of the command line (docs/command-line.md, "Exit codes"): to do it once more would end the same way. */
const DONE = 0;
const USAGE = 2;
const CLOSE_MS = 10_000;

interface Kept {
  readonly program: SupervisedProgram;
  running: RunningProgram | undefined;
  starts: number;
  /** In a row. */
  ends: number;
  pause: Timer | undefined;
  givenUp: boolean;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #clock: Clock;
  readonly #kept: readonly Kept[];
  #closed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#kept = options.programs.map((program) => ({
      ...{ program, running: undefined, starts: 0, ends: 0, pause: undefined, givenUp: false },
    }));
    for (const kept of this.#kept) this.#start(kept);
  }

  /** Names of those that were given up. */
  get givenUp(): readonly string[] {
    return this.#kept.flatMap(({ givenUp, program }) => (givenUp ? [program.name] : []));
  }

  status(): readonly Readonly<Record<string, unknown>>[] {
    return this.#kept.map(({ program, running, starts, givenUp }) => ({
      ...{ name: program.name, running: running !== undefined, starts, given_up: givenUp },
    }));
  }

  /** Ends all in order, and those by force that take longer than 10 s. */
  async close(): Promise<void> {
    this.#closed = true;
    const late = this.#clock.setTimer(() => {
      for (const { running } of this.#kept) running?.stop(true);
    }, CLOSE_MS);
    for (const { running, pause } of this.#kept) {
      pause?.cancel();
      running?.stop(false);
    }
    await Promise.all(this.#kept.map(({ running }) => running?.ended));
    late.cancel();
  }

  #start(kept: Kept): void {
    if (this.#closed) return;
    const startedMs = this.#clock.monotonicMs();
    kept.starts++;
    const running = this.#options.start(kept.program);
    kept.running = running;
    void running.ended.then(({ code, reason }) => {
      kept.running = undefined;
      if (this.#clock.monotonicMs() - startedMs >= LIVED_MS) kept.ends = 0;
      if (!this.#closed && code !== DONE) this.#ended(kept, code, reason);
    });
  }

  #ended(kept: Kept, code: number | null, reason: string): void {
    const { onAlert } = this.#options;
    const { name } = kept.program;
    kept.ends++;
    if (code === USAGE || kept.ends >= MAX_ENDS) {
      kept.givenUp = true;
      const why = code === USAGE ? reason : `${reason}; ${kept.ends} times in a row`;
      onAlert({ kind: "program_given_up", name, reason: why });
      return;
    }
    const restartMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (kept.ends - 1));
    kept.pause = this.#clock.setTimer(() => this.#start(kept), restartMs);
    onAlert({ kind: "program_ended", name, reason, restartMs });
  }
}
