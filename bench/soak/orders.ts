/** Orders of every kind, honest and not, and what must become of each. */
import { type Clock, ManualClock, systemClock } from "kasmina/base";
import { type CommandOutcome, CommandSigner, KeyRing, type Order, type SeedState } from "kasmina/contracts";

export type CommandKind =
  | "optimizer"
  | "pause"
  | "resume"
  | "rollback-memory"
  | "rollback-checkpoint"
  | "pause-growth"
  | "freeze-seeds"
  | "clear"
  | "breaker-open"
  | "breaker-close"
  | "cull"
  | "cull-unknown"
  | "reset"
  | "forged"
  | "unknown-key"
  | "malformed"
  | "stale"
  | "future"
  | "wrong-run"
  | "replayed";

/** What a kind may be answered with; a valid one may meet a run in which it makes no sense. */
const REFUSED_AS: Readonly<Partial<Record<CommandKind, readonly string[]>>> = {
  forged: ["invalid_signature"],
  "unknown-key": ["invalid_signature"],
  malformed: ["malformed_command", "missing_signature", "invalid_signature"],
  stale: ["stale_command"],
  future: ["issued_in_future"],
  "wrong-run": ["wrong_run"],
  // After a reset the ledger's floor says so; a redelivery of its first entry is a duplicate.
  replayed: ["nonce_replayed", "stale_command"],
  "cull-unknown": ["unknown_seed"],
};

/** Whether an answer is one that this kind may have. */
export function isRight(kind: CommandKind, { status, reason }: CommandOutcome): boolean {
  const reasons = REFUSED_AS[kind];
  if (reasons) return status !== "applied" && (reasons.includes(reason) || status === "duplicate");
  return status !== "failed";
}

export interface OrderContext {
  readonly runId: string;
  readonly keys: KeyRing;
  /** As the policy last saw them. */
  readonly seeds: readonly SeedState[];
  /** 0 to 1. */
  readonly draw: number;
  /** An honest envelope that was sent before. */
  readonly earlier: Uint8Array | undefined;
}

const DAY_MS = 86_400_000;
const STRANGER = new KeyRing([{ id: "stranger", secret: new Uint8Array(32).fill(7) }]);

/** The envelope of an order; the same id whenever a resumed run comes to its step again. */
export function envelopeOf(kind: CommandKind, commandId: string, context: OrderContext): Uint8Array {
  const { keys } = context;
  switch (kind) {
    case "malformed":
      return Uint8Array.from({ length: 40 }, (_, i) => (i * 37 + Math.floor(context.draw * 256)) % 256);
    case "forged":
      return tampered(signed(kind, commandId, context, keys, systemClock), context.draw);
    case "unknown-key":
      return signed(kind, commandId, context, STRANGER, systemClock);
    case "stale":
      return signed(kind, commandId, context, keys, new ManualClock(Date.now() - DAY_MS));
    case "future":
      return signed(kind, commandId, context, keys, new ManualClock(Date.now() + DAY_MS));
    case "wrong-run":
      return signed(kind, commandId, { ...context, runId: "another-run" }, keys, systemClock);
    case "replayed":
      return (
        context.earlier ?? signed("stale", commandId, context, keys, new ManualClock(Date.now() - DAY_MS))
      );
    default:
      return signed(kind, commandId, context, keys, systemClock);
  }
}

function signed(
  kind: CommandKind,
  commandId: string,
  context: OrderContext,
  keys: KeyRing,
  clock: Clock,
): Uint8Array {
  const { order, seedId } = orderOf(kind, context);
  const target = seedId === undefined ? {} : { seedId };
  const draft = { commandId, trainingRunId: context.runId, issuedBy: "soak", order, ...target };
  return new CommandSigner({ keys, clock }).sign(draft);
}

/** The last bytes are the signature's. */
function tampered(envelope: Uint8Array, draw: number): Uint8Array {
  const copy = envelope.slice();
  const at = copy.length - 1 - Math.floor(draw * 16);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function orderOf(kind: CommandKind, { seeds, draw }: OrderContext): { order: Order; seedId?: string } {
  const reason = "soak";
  switch (kind) {
    case "pause":
      return { order: { kind: "PAUSE", resume: false }, seedId: someSeed(seeds, draw) };
    case "resume":
      return { order: { kind: "PAUSE", resume: true }, seedId: pausedSeed(seeds) };
    case "rollback-memory":
      return { order: { kind: "ROLLBACK", source: "memory", reason } };
    case "rollback-checkpoint":
      return { order: { kind: "ROLLBACK", source: "checkpoint", reason } };
    case "pause-growth":
      return { order: { kind: "EMERGENCY", level: "PAUSE_GROWTH", reason } };
    case "freeze-seeds":
      return { order: { kind: "EMERGENCY", level: "FREEZE_SEEDS", reason } };
    case "clear":
      return { order: { kind: "EMERGENCY", level: "CLEAR", reason } };
    case "breaker-open":
      return { order: { kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "open" } };
    case "breaker-close":
      return { order: { kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "close" } };
    case "cull":
      return { order: { kind: "SEED", operation: "CULL" }, seedId: someSeed(seeds, draw) };
    case "cull-unknown":
      return { order: { kind: "SEED", operation: "CULL" }, seedId: "nobody" };
    case "reset":
      return { order: { kind: "RESET", scope: "registry" } };
    default:
      return { order: { kind: "OPTIMIZER", learningRate: 0.001 + 0.002 * draw } };
  }
}

function someSeed(seeds: readonly SeedState[], draw: number): string {
  const living = seeds.filter(({ stage }) => stage !== "DORMANT" && stage !== "FOSSILIZED");
  return living[Math.floor(draw * living.length)]?.id ?? "nobody";
}

function pausedSeed(seeds: readonly SeedState[]): string {
  return seeds.find(({ pausedFrom }) => pausedFrom !== undefined)?.id ?? "nobody";
}
