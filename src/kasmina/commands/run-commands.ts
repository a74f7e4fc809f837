/** Commands for the run as a whole: emergency, rollback, reset, circuit breakers. They take effect at this boundary. */
import type { Breaker } from "../../base/breaker.js";
import {
  BreakerAction,
  type CircuitBreakerCommand,
  type EmergencyCommand,
  type ResetCommand,
  type RollbackCommand,
} from "../../contracts/gen/kasmina/v1/command_pb.js";
import {
  type BreakerName,
  breakerWords,
  emergencyWords,
  resetWords,
  rollbackWords,
} from "../../contracts/names.js";
import type { RunState } from "../state/run-state.js";
import { type CommandContext, stageMismatch, targetSeed } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

/** EMERGENCY: pause growth, freeze seeds, halt with a checkpoint, or back to normal; at this boundary. */
export function handleEmergency(context: CommandContext, order: EmergencyCommand): HandlerResult {
  const { state, now, command } = context;
  const level = emergencyWords.word(order.level);
  if (!level) return refused("unknown_level", undefined, `emergency level ${order.level} is unknown`);
  if (state.emergency === "HALT") return refused("run_halted");
  state.emergency = level === "CLEAR" ? undefined : level;
  if (level === "FREEZE_SEEDS") dropAdvances(context.state);
  state.plan.add(now.step, { kind: "emergency", level, reason: order.reason });
  state.telemetry.event(undefined, "emergency", level === "CLEAR" ? "WARNING" : "CRITICAL", {
    emergency_level: level,
    reason: order.reason,
    issued_by: command.issuedBy,
    command_id: command.commandId,
  });
  return applied(now.step);
}

/** A halt ends a run; it is over when the run goes on. */
export function liftHalt(state: RunState): void {
  if (state.emergency !== "HALT") return;
  state.emergency = undefined;
  state.telemetry.event(undefined, "emergency", "WARNING", {
    emergency_level: "CLEAR",
    reason: "the halted run goes on",
  });
}

/** Frozen seeds do not advance, not even those whose gate has passed. */
export function dropAdvances(state: RunState): void {
  for (const { seedId, intent } of state.plan.all)
    if (seedId !== undefined && intent.kind === "stage") state.plan.cancel(seedId);
}

/** ROLLBACK: back to the last good state in memory, or to the checkpoint; the trainer carries it out. */
export function handleRollback(context: CommandContext, order: RollbackCommand): HandlerResult {
  const { state, now } = context;
  const source = rollbackWords.word(order.source);
  if (!source) return refused("unknown_source", undefined, `rollback source ${order.source} is unknown`);
  state.plan.add(now.step, { kind: "rollback", source, reason: order.reason });
  return applied(now.step);
}

/**
 * RESET: the seed registry, or also the teacher. Seeds, optimizer entries, cached kernels and the nonce ledger go
 * together; the ledger's floor rises to now, so nothing issued before the reset is accepted after it. FOSSILIZED seeds
 * are part of the host and stay.
 */
export function handleReset(context: CommandContext, order: ResetCommand): HandlerResult {
  const { state, now } = context;
  const scope = resetWords.word(order.scope);
  if (!scope) return refused("unknown_scope", undefined, `reset scope ${order.scope} is unknown`);
  if (scope === "teacher" && !state.teacher.teacher) return refused("no_teacher");
  state.kernels.cancelAll();
  state.kernels.forgetCached();
  state.plan.clear();
  context.resetLedger();
  state.plan.add(now.step, { kind: "reset", scope });
  return applied(now.step);
}

const ACTIONS: { readonly [A in BreakerAction]: "open" | "close" | undefined } = {
  [BreakerAction.UNSPECIFIED]: undefined,
  [BreakerAction.OPEN]: "open",
  [BreakerAction.CLOSE]: "close",
};

/** CIRCUIT_BREAKER: an operator opens or closes a breaker by hand. */
export function handleCircuitBreaker(context: CommandContext, order: CircuitBreakerCommand): HandlerResult {
  const name = breakerWords.word(order.breaker);
  const action = ACTIONS[order.action];
  if (!name || !action) return refused("unknown_breaker");
  if (name === "fetch") return turn(context, name, action, context.state.fetchBreaker);
  const target = targetSeed(context);
  if ("refusal" in target) return target.refusal;
  if (target.seed.stage === "DORMANT") return stageMismatch(target.seed, "a living seed");
  return turn(context, name, action, context.state.isolationBreaker(target.seed.id), target.seed.id);
}

function turn(
  { state, now, command }: CommandContext,
  name: BreakerName,
  action: "open" | "close",
  breaker: Breaker,
  seedId?: string,
): HandlerResult {
  const runTimeMs = state.runTimeMs(now.step);
  if (action === "open") breaker.open(runTimeMs);
  else breaker.close();
  state.telemetry.event(seedId, "breaker_event", "WARNING", {
    breaker: name,
    state: breaker.state(runTimeMs),
    seed_id: seedId ?? "",
    command_id: command.commandId,
  });
  return applied(now.step, seedId);
}
