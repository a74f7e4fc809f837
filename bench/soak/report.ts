/** The summary of a soak, as figures and as text. */
import type { SoakOptions } from "./lines.js";
import type { Tally } from "./tally.js";

const MIB = 1024 * 1024;

export function figuresOf(tally: Tally, options: SoakOptions, wallS: number) {
  const { epochs, seed, engine } = options;
  const last = tally.held.get(epochs);
  const memory = tally.memory(epochs);
  const rollbacks = Object.entries(tally.rollbacks).map(([name, { count, maxMs }]) => [
    name,
    `${count}, longest ${maxMs.toFixed(1)} ms`,
  ]);
  return {
    epochs,
    steps: tally.steps,
    seed,
    engine,
    wall_s: Math.round(wallS),
    accuracy: tally.summary?.accuracy ?? null,
    steps_with_alpha_at_target: tally.atTarget,
    faults: {
      ...tally.faults,
      process_kills: tally.kills,
      checkpoints_damaged: tally.damages,
      resumed_from_previous_checkpoint: tally.resumedFromPrevious,
      damaged_checkpoints_passed_over_by_a_rollback: tally.passedOver,
      acknowledgements_lost: last?.redelivered ?? 0,
    },
    killed_at_steps: tally.killedAt.join(", "),
    resumed_at_steps: tally.resumedAt.join(", "),
    rollbacks: Object.fromEntries(rollbacks),
    isolation: { ...(tally.summary?.isolation ?? {}) },
    commands: { sent: tally.sent, unanswered: tally.unanswered.length, answers: sorted(tally.answers) },
    rss_mib: {
      last_process: `${mib(memory.third)} in the third quarter of its life, ${mib(memory.last)} in the last`,
      growth: memory.growth ?? null,
    },
    held_at_the_end: {
      programs: last?.programs ?? 0,
      state_paths: last?.state_paths ?? 0,
      optimizer_entries: last?.optimizer_entries ?? 0,
      topologies_compiled_by_this_process: last?.compiled ?? 0,
    },
    events: sorted(tally.events),
  };
}

export type Figures = { readonly [name: string]: unknown };

/** Indented lines: `name  value`. */
export function textOf(figures: Figures, indent = ""): string {
  const width = Math.max(0, ...Object.keys(figures).map((name) => name.length));
  return Object.entries(figures)
    .map(([name, value]) =>
      typeof value === "object" && value !== null
        ? `${indent}${name}\n${textOf(value as Figures, `${indent}  `)}`
        : `${indent}${name.padEnd(width)}  ${value}\n`,
    )
    .join("");
}

function mib(bytes: number | undefined): number {
  return Math.round((10 * (bytes ?? 0)) / MIB) / 10;
}

function sorted(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
