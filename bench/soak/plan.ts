/** What goes wrong in a soak, and when: all of it follows from one random seed, by step, whatever dies in between. */
import { Random } from "kasmina/base";
import type { KernelFault } from "./faults.js";
import type { CommandKind } from "./orders.js";

export interface SoakPlan {
  /** Steps at which the process is killed. */
  readonly kills: readonly number[];
  /** Steps at which the last checkpoint is damaged on disk. */
  readonly damages: readonly number[];
  /** Whether the batch of a step is NaN. */
  isBadBatch(step: number): boolean;
  /** Whether a parameter turns to NaN before a step. */
  isSpoilt(step: number): boolean;
  /** A draw for a step, 0 to 1, for what else has to be chosen there. */
  drawAt(step: number, what: string): number;
  /** The orders that are sent during a step. */
  commandsAt(step: number): readonly CommandKind[];
  /** The step in which a flood begins, if one does: after the last kill. */
  readonly floodStep: number;
  kernelFault(requestId: string): KernelFault;
}

export interface PlanOptions {
  readonly seed: number;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
}

/** Of a run: early enough that one process then lives through the greater part of it, as memory is measured. */
const KILLS = [0.07, 0.11, 0.15, 0.2, 0.25];
const DAMAGES = [0.13, 0.4, 0.6, 0.8];
/** The kill before which the last checkpoint is damaged, so that the run resumes from the one before. */
const DAMAGED_KILL = 2;
const FLOOD = 0.4;
const EPOCHS_A_KILL = 10;
/** Two checkpoints are there by then. */
const MIN_EPOCHS_BEFORE = 3;
/** Commands at the very end would meet a run that has gone. */
const QUIET_STEPS = 10;

/** How often an order is drawn, and what follows it so many steps later. */
const ORDERS: readonly (readonly [
  kind: CommandKind,
  weight: number,
  followUp?: readonly [CommandKind, number],
])[] = [
  ["optimizer", 6],
  ["pause", 4, ["resume", 80]],
  ["rollback-memory", 2],
  ["rollback-checkpoint", 2],
  ["pause-growth", 1, ["clear", 20]],
  ["freeze-seeds", 1, ["clear", 20]],
  ["breaker-open", 1, ["breaker-close", 20]],
  ["cull", 2],
  ["cull-unknown", 1],
  ["reset", 1],
  ["forged", 4],
  ["unknown-key", 2],
  ["malformed", 3],
  ["stale", 4],
  ["future", 2],
  ["wrong-run", 2],
  ["replayed", 4],
];
const STEPS_A_COMMAND = 10;

export function makePlan({ seed, epochs, stepsPerEpoch }: PlanOptions): SoakPlan {
  const steps = epochs * stepsPerEpoch;
  const drawAt = (step: number, what: string): number => Random.forLabel(seed, `${what}/${step}`).uniform();
  const bad = new Set<number>();
  const spoilt = new Set<number>();
  for (let epoch = 1; epoch < epochs; epoch++)
    drawFaults(
      Random.forLabel(seed, `epoch/${epoch}`),
      { bad, spoilt },
      epoch * stepsPerEpoch,
      stepsPerEpoch,
    );
  const own = (step: number) => {
    const free = step < 1 || step > steps - QUIET_STEPS || drawAt(step, "command") > 1 / STEPS_A_COMMAND;
    return free ? undefined : weighted(drawAt(step, "kind"));
  };
  const atFraction = (fraction: number, what: string): number =>
    Math.floor(fraction * steps) + Math.floor(drawAt(0, `${what}/${fraction}`) * 0.5 * stepsPerEpoch);
  const kills = KILLS.slice(0, Math.max(1, Math.floor(epochs / EPOCHS_A_KILL)))
    .map((fraction) => atFraction(fraction, "kill"))
    .map((step) => Math.max(step, MIN_EPOCHS_BEFORE * stepsPerEpoch));
  const last = kills[Math.min(DAMAGED_KILL, kills.length - 1)] ?? 0;
  return {
    kills,
    floodStep: Math.floor(FLOOD * steps),
    // A kill may come right after the start of an epoch: then it is that epoch's checkpoint that is damaged.
    damages: [...DAMAGES.map((fraction) => atFraction(fraction, "damage")), last]
      .filter((step) => step >= MIN_EPOCHS_BEFORE * stepsPerEpoch)
      .sort((a, b) => a - b),
    isBadBatch: (step) => bad.has(step),
    isSpoilt: (step) => spoilt.has(step),
    drawAt,
    commandsAt: (step) => {
      const drawn = own(step);
      const due = ORDERS.flatMap(([kind, , followUp]) =>
        followUp && step <= steps - QUIET_STEPS && own(step - followUp[1])?.[0] === kind ? [followUp[0]] : [],
      );
      return drawn ? [...due, drawn[0]] : due;
    },
    kernelFault: (requestId) => {
      const draw = Random.forLabel(seed, `kernel/${requestId}`).uniform();
      if (draw < 0.1) return "fails";
      return draw < 0.15 ? "late" : "none";
    },
  };
}

/**
 * At most two in the first half of an epoch: the run is observed between those of one epoch and those of the next, and is
 * not given up for what the soak itself did to it.
 */
function drawFaults(
  random: Random,
  { bad, spoilt }: { readonly bad: Set<number>; readonly spoilt: Set<number> },
  firstStep: number,
  stepsPerEpoch: number,
): void {
  const step = firstStep + random.below(Math.floor(stepsPerEpoch / 2));
  const draw = random.uniform();
  if (draw < 0.2) bad.add(step);
  else if (draw < 0.25) for (const at of [step, step + 1]) bad.add(at);
  else if (draw < 0.4) spoilt.add(step);
}

function weighted(draw: number): (typeof ORDERS)[number] | undefined {
  const total = ORDERS.reduce((sum, [, weight]) => sum + weight, 0);
  let left = draw * total;
  return ORDERS.find(([, weight]) => {
    left -= weight;
    return left < 0;
  });
}
