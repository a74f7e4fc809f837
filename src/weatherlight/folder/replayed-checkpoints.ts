/**
 * The checkpoints of a run that is replayed, in memory: what its rollbacks returned to. Which one that was follows from
 * the run's own record, because a checkpoint may have been damaged when it was wanted.
 */
import { z } from "zod";
import type { GoodState } from "../../tolaria/index.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import { readEventLines } from "./run-folder.js";

/** A rollback from disk, as `events.ndjson` records it. */
const restoredLine = z.object({
  name: z.literal("rollback_restored"),
  source: z.literal("checkpoint"),
  restored: z.literal(true),
  cause: z.string(),
  step: z.int(),
  restored_step: z.int(),
});

export class ReplayedCheckpoints {
  /** The step of the checkpoint that was returned to, by the step that came next. */
  readonly #restored: ReadonlyMap<number, number>;
  readonly #kept = new Map<number, GoodState>();
  #newest: GoodState | undefined;

  private constructor(restored: ReadonlyMap<number, number>) {
    this.#restored = restored;
  }

  /** For the replay of the run in `folder`. */
  static async of(folder: string): Promise<ReplayedCheckpoints> {
    // Most lines are something else: only those that name the event are parsed.
    const lines = (await readEventLines(folder)).filter((line) => line.includes('"rollback_restored"'));
    return new ReplayedCheckpoints(new Map(lines.flatMap(restoredIn)));
  }

  /** Takes in a checkpoint of the replay. */
  add(checkpoint: RunCheckpoint): void {
    if (!checkpoint.atEpochStart) return;
    this.#newest = checkpoint;
    if ([...this.#restored.values()].includes(checkpoint.step)) this.#kept.set(checkpoint.step, checkpoint);
  }

  /** The one that the run returned to when `step` was its next one. */
  readBefore(step: number): GoodState | undefined {
    const recorded = this.#restored.get(step);
    return recorded === undefined ? this.#newest : this.#kept.get(recorded);
  }
}

/** A line cut short by a crash, or another event, says nothing. */
function restoredIn(line: string): [number, number][] {
  const parsed = restoredLine.safeParse(jsonIn(line));
  if (!parsed.success) return [];
  const { cause, step, restored_step } = parsed.data;
  // A command takes effect before its step runs; a recovery comes after the step that went wrong.
  return [[cause === "command" ? step : step + 1, restored_step]];
}

function jsonIn(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
