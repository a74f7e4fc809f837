/**
 * An operator who does not know what they want: random commands to a running trainer, as long as it runs. Every other
 * time they try what they never got through with, where the run is such that they can.
 */

import type { Random } from "../../src/base/index.js";
import {
  DEFAULT_BLEND,
  type EmergencyLevel,
  type Operation,
  type RollbackSource,
  type SeedState,
  type Stage,
} from "../../src/contracts/index.js";
import { canCull } from "../../src/contracts/stages.js";
import {
  type OperatorOrder,
  readStatus,
  sendCommand,
} from "../../src/weatherlight/control/control-client.js";
import type { RunStatus } from "../../src/weatherlight/index.js";

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

function germinate(random: Random, { slots, step }: RunStatus): OperatorOrder {
  return {
    order: { kind: "SEED", operation: "GERMINATE", blueprintId: pick(random, ["mlp-residual", "low-rank"]) },
    slotId: slots[random.below(slots.length)]?.id ?? "",
    seedId: `op-${step}-${random.below(1_000)}`,
  };
}

function learningRate(random: Random): OperatorOrder {
  return { order: { kind: "OPTIMIZER", learningRate: 10 ** (-2 - 2 * random.uniform()) } };
}

function emergency(random: Random): OperatorOrder {
  const level = pick<EmergencyLevel>(random, ["PAUSE_GROWTH", "FREEZE_SEEDS", "CLEAR", "CLEAR"]);
  return { order: { kind: "EMERGENCY", level, reason: "whim" } };
}

function rollback(random: Random): OperatorOrder {
  const source = pick<RollbackSource>(random, ["memory", "checkpoint"]);
  return { order: { kind: "ROLLBACK", source, reason: "whim" } };
}

function reset(): OperatorOrder {
  return { order: { kind: "RESET", scope: "registry" } };
}

/** Each kind is as likely as it is often here. */
const KINDS: readonly [Make, ...Make[]] = [
  germinate,
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
  learningRate,
  (random, status) => ({
    order: { kind: "OPTIMIZER", weightDecay: 0.1 * random.uniform() },
    ...toSeed(random, status),
  }),
  emergency,
  rollback,
  (random) => {
    const action = pick<"open" | "close">(random, ["open", "close", "close"]);
    return { order: { kind: "CIRCUIT_BREAKER", breaker: "fetch", action } };
  },
  reset,
];

/** What an operator must have got through with to have shown anything, each with how to do that in a run that allows it. */
const WANTED: { readonly [kind: string]: (random: Random, status: RunStatus) => OperatorOrder | undefined } =
  {
    GERMINATE: (random, status) => {
      const slot = status.slots.find(
        ({ seedIds, closedUntilStep }) => seedIds.length === 0 && closedUntilStep === undefined,
      );
      return slot && growing(status, { ...germinate(random, status), slotId: slot.id });
    },
    START_TRAINING: (_, status) => {
      const seed = status.seeds.find((one) => one.stage === "GERMINATED" && isFree(one));
      const order = { kind: "SEED", operation: "START_TRAINING" } as const;
      return seed && growing(status, { order, seedId: seed.id });
    },
    CULL: (_, { seeds: [seed] }) => seed && { order: { kind: "SEED", operation: "CULL" }, seedId: seed.id },
    PAUSE: (_, { seeds }) => {
      const seed = seeds.find((one) => canCull(one.stage) && isFree(one));
      return seed && { order: { kind: "PAUSE", resume: false }, seedId: seed.id };
    },
    OPTIMIZER: learningRate,
    EMERGENCY: emergency,
    ROLLBACK: rollback,
    RESET: reset,
  };

/** Whether nothing is planned for the seed, which is not paused either: its kernel is there, it takes any order. */
function isFree({ pending, pausedFrom }: SeedState): boolean {
  return pending === undefined && pausedFrom === undefined;
}

/** The order, which makes something grow; or before it, the end of the emergency that forbids that. */
function growing({ emergency }: RunStatus, order: OperatorOrder): OperatorOrder {
  return emergency === null ? order : { order: { kind: "EMERGENCY", level: "CLEAR", reason: "whim" } };
}

function toSeed(random: Random, status: RunStatus): { readonly seedId: string } {
  return { seedId: anySeed(random, status)?.id ?? "nobody" };
}

function advance(random: Random, status: RunStatus): OperatorOrder {
  const seed = anySeed(random, status);
  const operation = (seed && NEXT[seed.stage]) ?? "START_TRAINING";
  return { order: { kind: "SEED", operation }, seedId: seed?.id ?? "nobody" };
}

export class RandomOperator {
  readonly #applied = new Set<string>();

  /** The kinds of commands that must get through and never did so far, in any run. */
  get missing(): string[] {
    return Object.keys(WANTED).filter((kind) => !this.#applied.has(kind));
  }

  /** Sends commands to the run of a folder until `done` settles. */
  async meddle(runFolder: string, random: Random, done: Promise<unknown>): Promise<void> {
    let running = true;
    void done.then(() => {
      running = false;
    });
    while (running) {
      await this.#meddleOnce(runFolder, random);
      await new Promise((resolve) => setTimeout(resolve, random.below(PAUSE_MS)));
    }
  }

  /** To no effect where the run does not listen: not yet, or no more. */
  async #meddleOnce(runFolder: string, random: Random): Promise<void> {
    try {
      const what = this.#whim(random, await readStatus(runFolder));
      const { status } = await sendCommand(runFolder, what);
      if (status === "applied") this.#applied.add(kindOf(what));
    } catch {
      return;
    }
  }

  #whim(random: Random, status: RunStatus): OperatorOrder {
    const possible = this.missing.flatMap((kind) => WANTED[kind]?.(random, status) ?? []);
    const wanted = possible[random.below(Math.max(possible.length, 1))];
    return wanted && random.below(2) === 0 ? wanted : pick(random, KINDS)(random, status);
  }
}

function kindOf({ order }: OperatorOrder): string {
  if (order.kind === "PAUSE" && order.resume) return "RESUME";
  return order.kind === "SEED" ? order.operation : order.kind;
}
