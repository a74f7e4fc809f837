/**
 * The words of the contracts as TypeScript writes them: plain string unions, and tables that map them to the
 * enums of proto/kasmina/v1 and back. The tables are typed over the unions, so a missing word is a type error.
 */
import { BlendCurve as BlendCurveProto, BlendMode as BlendModeProto } from "./gen/kasmina/v1/blend_pb.js";
import {
  BreakerName as BreakerNameProto,
  CommandType as CommandTypeProto,
  EmergencyLevel as EmergencyLevelProto,
  OutcomeStatus as OutcomeStatusProto,
  ResetScope as ResetScopeProto,
  RollbackSource as RollbackSourceProto,
  SeedOperation as SeedOperationProto,
} from "./gen/kasmina/v1/command_pb.js";
import { SeedGate, SeedStage } from "./gen/kasmina/v1/lifecycle_pb.js";
import {
  Priority as PriorityProto,
  TelemetryLevel as TelemetryLevelProto,
  TelemetryRoute as TelemetryRouteProto,
} from "./gen/kasmina/v1/telemetry_pb.js";

/** Every stage of a seed's life (docs/architecture.md, "Stages and gates"). */
export const STAGES = [
  "UNKNOWN",
  "DORMANT",
  "GERMINATED",
  "TRAINING",
  "BLENDING",
  "SHADOWING",
  "PROBATIONARY",
  "FOSSILIZED",
  "CULLED",
  "EMBARGOED",
  "RESETTING",
  "TERMINATED",
] as const;
export type Stage = (typeof STAGES)[number];

/** Every gate (docs/architecture.md, "Stages and gates"). */
export const GATES = [
  "G0_SANITY",
  "G1_GRADIENT_HEALTH",
  "G2_STABILITY",
  "G3_INTERFACE",
  "G4_SYSTEM_IMPACT",
  "G5_RESET",
] as const;
export type Gate = (typeof GATES)[number];

export type CommandKind =
  | "SEED"
  | "ROLLBACK"
  | "OPTIMIZER"
  | "CIRCUIT_BREAKER"
  | "PAUSE"
  | "EMERGENCY"
  | "RESET";

/** Operations that move a seed one gate further, in the order of its life. */
export const ADVANCING_OPERATIONS = [
  "START_TRAINING",
  "START_BLENDING",
  "START_SHADOWING",
  "START_PROBATION",
  "FOSSILIZE",
] as const;
export type AdvancingOperation = (typeof ADVANCING_OPERATIONS)[number];

export type Operation = AdvancingOperation | "GERMINATE" | "CULL" | "CANCEL" | "ADJUST_BLEND";

export type BlendMode = "CONVEX" | "RESIDUAL" | "CHANNEL" | "CONFIDENCE";
export type BlendCurve = "linear" | "cosine" | "sigmoid";
export type TelemetryLevel = "INFO" | "WARNING" | "ERROR" | "CRITICAL";
export type Priority = "LOW" | "NORMAL" | "HIGH" | "CRITICAL";
export type TelemetryRoute = "normal" | "emergency";
export type EmergencyLevel = "PAUSE_GROWTH" | "FREEZE_SEEDS" | "HALT" | "CLEAR";
export type ResetScope = "registry" | "teacher";
export type RollbackSource = "memory" | "checkpoint";
export type BreakerName = "fetch" | "isolation";
export type OutcomeStatus = "applied" | "refused" | "duplicate" | "failed";

/** A two-way table between a union of words and an enum of the contracts. */
export interface WordTable<Word extends string, Code extends number> {
  readonly words: readonly Word[];
  /** The enum's number for the word. */
  code(word: Word): Code;
  /** The word for the number, or undefined where the number is none of ours (zero included). */
  word(code: number): Word | undefined;
}

function wordTable<Word extends string, Code extends number>(
  codes: { readonly [W in Word]: Code },
): WordTable<Word, Code> {
  const words = Object.keys(codes) as Word[];
  const byCode = new Map<number, Word>(words.map((word) => [codes[word], word]));
  return { words, code: (word) => codes[word], word: (code) => byCode.get(code) };
}

export const stageWords = wordTable<Stage, SeedStage>({
  UNKNOWN: SeedStage.UNKNOWN,
  DORMANT: SeedStage.DORMANT,
  GERMINATED: SeedStage.GERMINATED,
  TRAINING: SeedStage.TRAINING,
  BLENDING: SeedStage.BLENDING,
  SHADOWING: SeedStage.SHADOWING,
  PROBATIONARY: SeedStage.PROBATIONARY,
  FOSSILIZED: SeedStage.FOSSILIZED,
  CULLED: SeedStage.CULLED,
  EMBARGOED: SeedStage.EMBARGOED,
  RESETTING: SeedStage.RESETTING,
  TERMINATED: SeedStage.TERMINATED,
});

export const gateWords = wordTable<Gate, SeedGate>({
  G0_SANITY: SeedGate.G0_SANITY,
  G1_GRADIENT_HEALTH: SeedGate.G1_GRADIENT_HEALTH,
  G2_STABILITY: SeedGate.G2_STABILITY,
  G3_INTERFACE: SeedGate.G3_INTERFACE,
  G4_SYSTEM_IMPACT: SeedGate.G4_SYSTEM_IMPACT,
  G5_RESET: SeedGate.G5_RESET,
});

export const commandWords = wordTable<CommandKind, CommandTypeProto>({
  SEED: CommandTypeProto.SEED,
  ROLLBACK: CommandTypeProto.ROLLBACK,
  OPTIMIZER: CommandTypeProto.OPTIMIZER,
  CIRCUIT_BREAKER: CommandTypeProto.CIRCUIT_BREAKER,
  PAUSE: CommandTypeProto.PAUSE,
  EMERGENCY: CommandTypeProto.EMERGENCY,
  RESET: CommandTypeProto.RESET,
});

export const operationWords = wordTable<Operation, SeedOperationProto>({
  GERMINATE: SeedOperationProto.GERMINATE,
  START_TRAINING: SeedOperationProto.START_TRAINING,
  START_BLENDING: SeedOperationProto.START_BLENDING,
  START_SHADOWING: SeedOperationProto.START_SHADOWING,
  START_PROBATION: SeedOperationProto.START_PROBATION,
  FOSSILIZE: SeedOperationProto.FOSSILIZE,
  CULL: SeedOperationProto.CULL,
  CANCEL: SeedOperationProto.CANCEL,
  ADJUST_BLEND: SeedOperationProto.ADJUST_BLEND,
});

export const blendModeWords = wordTable<BlendMode, BlendModeProto>({
  CONVEX: BlendModeProto.CONVEX,
  RESIDUAL: BlendModeProto.RESIDUAL,
  CHANNEL: BlendModeProto.CHANNEL,
  CONFIDENCE: BlendModeProto.CONFIDENCE,
});

export const blendCurveWords = wordTable<BlendCurve, BlendCurveProto>({
  linear: BlendCurveProto.LINEAR,
  cosine: BlendCurveProto.COSINE,
  sigmoid: BlendCurveProto.SIGMOID,
});

export const levelWords = wordTable<TelemetryLevel, TelemetryLevelProto>({
  INFO: TelemetryLevelProto.INFO,
  WARNING: TelemetryLevelProto.WARNING,
  ERROR: TelemetryLevelProto.ERROR,
  CRITICAL: TelemetryLevelProto.CRITICAL,
});

export const priorityWords = wordTable<Priority, PriorityProto>({
  LOW: PriorityProto.LOW,
  NORMAL: PriorityProto.NORMAL,
  HIGH: PriorityProto.HIGH,
  CRITICAL: PriorityProto.CRITICAL,
});

export const routeWords = wordTable<TelemetryRoute, TelemetryRouteProto>({
  normal: TelemetryRouteProto.NORMAL,
  emergency: TelemetryRouteProto.EMERGENCY,
});

export const emergencyWords = wordTable<EmergencyLevel, EmergencyLevelProto>({
  PAUSE_GROWTH: EmergencyLevelProto.PAUSE_GROWTH,
  FREEZE_SEEDS: EmergencyLevelProto.FREEZE_SEEDS,
  HALT: EmergencyLevelProto.HALT,
  CLEAR: EmergencyLevelProto.CLEAR,
});

export const resetWords = wordTable<ResetScope, ResetScopeProto>({
  registry: ResetScopeProto.REGISTRY,
  teacher: ResetScopeProto.TEACHER,
});

export const rollbackWords = wordTable<RollbackSource, RollbackSourceProto>({
  memory: RollbackSourceProto.MEMORY,
  checkpoint: RollbackSourceProto.CHECKPOINT,
});

export const breakerWords = wordTable<BreakerName, BreakerNameProto>({
  fetch: BreakerNameProto.FETCH,
  isolation: BreakerNameProto.ISOLATION,
});

export const outcomeWords = wordTable<OutcomeStatus, OutcomeStatusProto>({
  applied: OutcomeStatusProto.APPLIED,
  refused: OutcomeStatusProto.REFUSED,
  duplicate: OutcomeStatusProto.DUPLICATE,
  failed: OutcomeStatusProto.FAILED,
});
