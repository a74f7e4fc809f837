/**
 * Which blueprint to try in which slot: an upper-confidence-bound bandit (Auer, Cesa-Bianchi & Fischer 2002, "Finite-time
 * analysis of the multiarmed bandit problem"). An arm that was never tried is thought as good as its blueprint and its
 * slot have been elsewhere, with one measurement's worth of trust. It draws nothing at random.
 */
import { maxOf, minOf } from "../base/statistics.js";
import type { Arm } from "./policy.js";

/** What was measured of one arm. Plain data, part of a policy's snapshot. */
export interface ArmRecord {
  readonly slotId: string;
  readonly blueprintId: string;
  /** Distinguishes arms whose blueprints differ in parameters alone. */
  readonly key: string;
  readonly tries: number;
  /** Sum of the rewards. */
  readonly reward: number;
}

export type BanditRecord = readonly ArmRecord[];

/** How much an arm that was tried little is preferred to one that was tried often. */
const EXPLORATION = 0.7;

export function armKey({ slotId, candidate }: Arm): string {
  const parameters = Object.entries(candidate.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([slotId, candidate.id, parameters]);
}

/** The record with one more try of an arm; a reward that is not finite counts as the worst seen. */
export function rewarded(record: BanditRecord, arm: Arm, reward: number): BanditRecord {
  const key = armKey(arm);
  const worst = Math.min(0, minOf(record.map((known) => known.reward / known.tries)));
  const known = record.find((other) => other.key === key);
  const updated: ArmRecord = {
    slotId: arm.slotId,
    blueprintId: arm.candidate.id,
    key,
    tries: (known?.tries ?? 0) + 1,
    reward: (known?.reward ?? 0) + (Number.isFinite(reward) ? reward : worst),
  };
  return [...record.filter((other) => other.key !== key), updated];
}

/** The arms, the one to try next first; equal ones stay in the order given. */
export function ranked(record: BanditRecord, arms: readonly Arm[]): readonly Arm[] {
  const scored = arms.map((arm) => ({ arm, score: scoreOf(record, arm) }));
  return scored.sort((a, b) => b.score - a.score).map(({ arm }) => arm);
}

/** What an arm may well be worth: its mean reward, drawn to what is known of its like, and a bonus for what is not known. */
export function scoreOf(record: BanditRecord, arm: Arm): number {
  const key = armKey(arm);
  const own = record.find((known) => known.key === key);
  const tries = record.reduce((sum, known) => sum + known.tries, 0);
  const scale = Math.max(0, maxOf(record.map((known) => Math.abs(known.reward / known.tries))));
  const trust = 1 + (own?.tries ?? 0);
  const mean = ((own?.reward ?? 0) + priorOf(record, arm)) / trust;
  return mean + EXPLORATION * scale * Math.sqrt(Math.log(1 + tries) / trust);
}

/** Half what the blueprint has brought in all slots, half what the slot has brought with all blueprints. */
function priorOf(record: BanditRecord, { slotId, candidate }: Arm): number {
  const ofBlueprint = meanReward(record.filter((known) => known.blueprintId === candidate.id));
  const ofSlot = meanReward(record.filter((known) => known.slotId === slotId));
  const overall = meanReward(record) ?? 0;
  return ((ofBlueprint ?? overall) + (ofSlot ?? overall)) / 2;
}

function meanReward(records: BanditRecord): number | undefined {
  const tries = records.reduce((sum, known) => sum + known.tries, 0);
  return tries === 0 ? undefined : records.reduce((sum, known) => sum + known.reward, 0) / tries;
}
