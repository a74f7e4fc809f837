/** The closed set of reasons with which a verified command can be refused, and the answers that handlers give. */

import type { GateReason } from "../gates/index.js";
import type { RejectionReason } from "../security/verifier.js";

/** Reasons that are neither a gate's nor the verifier's. */
export const REFUSAL_REASONS = [
  /** The command names no order, or one that does not fit its type. */
  "unknown_command",
  "unknown_operation",
  /** A name that is none: see `identifiers.ts`. */
  "invalid_id",
  "unknown_seed",
  /** A GERMINATE for a seed that lives. */
  "seed_exists",
  /** One pending change a seed. */
  "change_pending",
  "nothing_pending",
  "seed_paused",
  "not_paused",
  "blend_invalid",
  "growth_paused",
  "seeds_frozen",
  "run_halted",
  "breaker_open",
  "unknown_breaker",
  "unknown_level",
  "unknown_scope",
  "unknown_source",
  "optimizer_empty",
  "optimizer_out_of_bounds",
  "teacher_immutable",
  "no_teacher",
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Reasons of a `failed` outcome. */
export type FailureReason = "internal_error";

export type CommandReason = RejectionReason | GateReason | RefusalReason | FailureReason;

/** What a handler answers. */
export type HandlerResult =
  | {
      readonly status: "applied";
      readonly effectiveStep: number;
      readonly seedId?: string;
      readonly message?: string;
    }
  | {
      readonly status: "refused";
      readonly reason: GateReason | RefusalReason;
      readonly seedId?: string;
      readonly message?: string;
    };

export function applied(effectiveStep: number, seedId?: string, message?: string): HandlerResult {
  return { status: "applied", effectiveStep, ...optional(seedId, message) };
}

export function refused(
  reason: GateReason | RefusalReason,
  seedId?: string,
  message?: string,
): HandlerResult {
  return { status: "refused", reason, ...optional(seedId, message) };
}

function optional(seedId: string | undefined, message: string | undefined) {
  return { ...(seedId !== undefined && { seedId }), ...(message !== undefined && { message }) };
}
