/** An operator who does not know what they want: random commands to a running trainer, as long as it runs. */
import type { Random } from "../../src/base/index.js";
import {
  type CommandOutcome,
  DEFAULT_BLEND,
  type EmergencyLevel,
  type Operation,
  type RollbackSource,
  type Stage,
} from "../../src/contracts/index.js";
import { type OperatorOrder, readStatus, sendCommand } from "../../src/weatherlight/control-client.js";
import type { RunStatus } from "../../src/weatherlight/control-protocol.js";

/** Longest pause between two commands. */
const PAUSE_MS = 60;

const NEXT: { readonly [S in Stage]?: Operation } = {
  GERMINATED: "START_TRAINING",
  TRAINING: "START_BLENDING",
  BLENDING: "START_SHADOWING",
  SHADOWING: "START_PROBATION",
  PROBATIONARY: "FOSSILIZE",
};

type Make = (random: Random, status: RunStatus) => OperatorOrder;

function pick<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[random.below(values.length)] ?? values[0];
}

function anySeed(random: Random, { seeds }: RunStatus) {
  return seeds.length === 0 ? undefined : seeds[random.below(seeds.length)];
}

/** Each kind is as likely as it is often here. */
const KINDS: readonly [Make, ...Make[]] = [
  (random, { slots, step }) => ({
    order: { kind: "SEED", operation: "GERMINATE", blueprintId: pick(random, ["mlp-residual", "low-rank"]) },
    slotId: slots[random.below(slots.length)]?.id ?? "",
    seedId: `op-${step}-${random.below(1_000)}`,
  }),
  advance,
  advance,
  advance,
  (random, status) => ({ order: { kind: "SEED", operation: "CULL" }, ...toSeed(random, status) }),
  (random, status) => ({ order: { kind: "SEED", operation: "CANCEL" }, ...toSeed(random, status) }),
  (random, status) => ({
    order: { kind: "PAUSE", resume: random.below(2) === 1 },
    ...toSeed(random, status),
  }),
  (random, status) => ({ order: { kind: "PAUSE", resume: true }, ...toSeed(random, status) }),
  (random, status) => ({
    order: { kind: "SEED", operation: "ADJUST_BLEND" },
    ...toSeed(random, status),
    decision: {
      policyVersion: "operator",
      riskReason: "",
      featureCoverage: 1,
      blend: { ...DEFAULT_BLEND, alphaTarget: random.uniform() },
    },
  }),
  (random) => ({ order: { kind: "OPTIMIZER", learningRate: 10 ** (-2 - 2 * random.uniform()) } }),
  (random, status) => ({
    order: { kind: "OPTIMIZER", weightDecay: 0.1 * random.uniform() },
    ...toSeed(random, status),
  }),
  (random) => {
    const level = pick<EmergencyLevel>(random, ["PAUSE_GROWTH", "FREEZE_SEEDS", "CLEAR", "CLEAR"]);
    return { order: { kind: "EMERGENCY", level, reason: "whim" } };
  },
  (random) => {
    const source = pick<RollbackSource>(random, ["memory", "checkpoint"]);
    return { order: { kind: "ROLLBACK", source, reason: "whim" } };
  },
  (random) => {
    const action = pick<"open" | "close">(random, ["open", "close", "close"]);
    return { order: { kind: "CIRCUIT_BREAKER", breaker: "fetch", action } };
  },
  () => ({ order: { kind: "RESET", scope: "registry" } }),
];

function toSeed(random: Random, status: RunStatus): { readonly seedId: string } {
  return { seedId: anySeed(random, status)?.id ?? "nobody" };
}

function advance(random: Random, status: RunStatus): OperatorOrder {
  const seed = anySeed(random, status);
  const operation = (seed && NEXT[seed.stage]) ?? "START_TRAINING";
  return { order: { kind: "SEED", operation }, seedId: seed?.id ?? "nobody" };
}

/** Sends commands to the run of a folder until `done` settles. Returns how many ended how, by kind. */
export async function meddle(
  runFolder: string,
  random: Random,
  done: Promise<unknown>,
): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  let running = true;
  void done.then(() => {
    running = false;
  });
  while (running) {
    const outcome = await meddleOnce(runFolder, random);
    if (outcome) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, random.below(PAUSE_MS)));
  }
  return outcomes;
}

/** Undefined where the run does not listen: not yet, or no more. */
async function meddleOnce(runFolder: string, random: Random): Promise<string | undefined> {
  try {
    const what = pick(random, KINDS)(random, await readStatus(runFolder));
    const { status }: CommandOutcome = await sendCommand(runFolder, what);
    const { kind } = what.order;
    return `${kind === "SEED" ? what.order.operation : kind} ${status}`;
  } catch {
    return undefined;
  }
}
