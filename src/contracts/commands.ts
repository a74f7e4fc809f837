/** Commands as the policy and the operator write them: plain data, turned into the contracts' AdaptationCommand. */
import { create } from "@bufbuild/protobuf";
import { type BlendConfig, blendToProto } from "./blend.js";
import {
  type AdaptationCommand,
  AdaptationCommandSchema,
  BreakerAction,
} from "./gen/kasmina/v1/command_pb.js";
import {
  type BreakerName,
  breakerWords,
  type CommandKind,
  commandWords,
  type EmergencyLevel,
  emergencyWords,
  type Operation,
  operationWords,
  type ResetScope,
  type RollbackSource,
  resetWords,
  rollbackWords,
  type Stage,
  stageWords,
} from "./names.js";

/** What is to be done. */
export type Order =
  | {
      readonly kind: "SEED";
      readonly operation: Operation;
      /** GERMINATE. */
      readonly blueprintId?: string;
      readonly parameters?: Readonly<Record<string, number>>;
      readonly artifactSha256?: string;
    }
  | {
      readonly kind: "OPTIMIZER";
      readonly learningRate?: number;
      readonly momentum?: number;
      readonly weightDecay?: number;
    }
  | { readonly kind: "CIRCUIT_BREAKER"; readonly breaker: BreakerName; readonly action: "open" | "close" }
  | { readonly kind: "PAUSE"; readonly resume: boolean }
  | { readonly kind: "EMERGENCY"; readonly level: EmergencyLevel; readonly reason: string }
  | { readonly kind: "RESET"; readonly scope: ResetScope }
  | { readonly kind: "ROLLBACK"; readonly source: RollbackSource; readonly reason: string };

/** Why the policy decided so, and how the seed is to be blended. */
export interface CommandDecision {
  readonly policyVersion: string;
  readonly riskReason: string;
  /** Fraction of the policy's inputs that were there, 0 to 1. */
  readonly featureCoverage: number;
  readonly blend?: BlendConfig;
}

/** A command before it is dated, numbered and signed. */
export interface CommandDraft {
  /** 1 to 128 bytes, the issuer's own. */
  readonly commandId: string;
  readonly trainingRunId: string;
  /** The life of the run that it is for, as its state names it. Default: any, and its date decides. */
  readonly incarnation?: string;
  readonly issuedBy: string;
  readonly order: Order;
  readonly seedId?: string;
  readonly slotId?: string;
  readonly expectedStage?: Stage;
  /** Stale this long after it is issued, where that is shorter than the freshness window. */
  readonly expiresAfterMs?: number;
  readonly decision?: CommandDecision;
}

export const COMMAND_VERSION = 1;
export const NONCE_BYTES = 16;

type Payload = AdaptationCommand["payload"];
type PlainPayload = { case: Exclude<Payload["case"], undefined>; value: object };

const PAYLOAD_OF: { readonly [K in CommandKind]: (order: Extract<Order, { kind: K }>) => PlainPayload } = {
  SEED: ({ operation, blueprintId = "", parameters = {}, artifactSha256 = "" }) => ({
    case: "seed",
    value: {
      operation: operationWords.code(operation),
      blueprintId,
      parameters: Object.entries(parameters).map(([name, value]) => ({ name, value })),
      artifactSha256,
    },
  }),
  OPTIMIZER: ({ kind: _, ...settings }) => ({ case: "optimizer", value: settings }),
  CIRCUIT_BREAKER: ({ breaker, action }) => ({
    case: "circuitBreaker",
    value: {
      breaker: breakerWords.code(breaker),
      action: action === "open" ? BreakerAction.OPEN : BreakerAction.CLOSE,
    },
  }),
  PAUSE: ({ resume }) => ({ case: "pause", value: { resume } }),
  EMERGENCY: ({ level, reason }) => ({
    case: "emergency",
    value: { level: emergencyWords.code(level), reason },
  }),
  RESET: ({ scope }) => ({ case: "reset", value: { scope: resetWords.code(scope) } }),
  ROLLBACK: ({ source, reason }) => ({
    case: "rollback",
    value: { source: rollbackWords.code(source), reason },
  }),
};

function payloadOf<K extends CommandKind>(kind: K, order: Extract<Order, { kind: K }>): PlainPayload {
  return PAYLOAD_OF[kind](order);
}

/** Wall-clock milliseconds as a protobuf Timestamp. */
function timestampOf(atMs: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(atMs / 1_000);
  const nanos = Math.min(999_999_999, Math.round((atMs - seconds * 1_000) * 1_000_000));
  return { seconds: BigInt(seconds), nanos };
}

/** The command in the contracts' form, dated `issuedAtMs` and carrying `nonce` (16 bytes). */
export function buildCommand(draft: CommandDraft, issuedAtMs: number, nonce: Uint8Array): AdaptationCommand {
  const { decision } = draft;
  return create(AdaptationCommandSchema, {
    version: COMMAND_VERSION,
    commandId: draft.commandId,
    trainingRunId: draft.trainingRunId,
    commandType: commandWords.code(draft.order.kind),
    targetSeedId: draft.seedId ?? "",
    slotId: draft.slotId ?? "",
    issuedAt: timestampOf(issuedAtMs),
    issuedBy: draft.issuedBy,
    expiresAfterMs: draft.expiresAfterMs ?? 0,
    nonce,
    incarnation: draft.incarnation ?? "",
    expectedStage: stageWords.code(draft.expectedStage ?? "UNKNOWN"),
    ...(decision && {
      decision: {
        policyVersion: decision.policyVersion,
        riskReason: decision.riskReason,
        featureCoverage: decision.featureCoverage,
        ...(decision.blend && { blend: blendToProto(decision.blend) }),
      },
    }),
    payload: payloadOf(draft.order.kind, draft.order as never) as Payload,
  });
}
