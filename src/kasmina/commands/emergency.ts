/** EMERGENCY commands: pause growth, freeze seeds, halt with a checkpoint, or back to normal; at this boundary. */
import type { EmergencyCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { emergencyWords } from "../../contracts/names.js";
import type { RunState } from "../state/run-state.js";
import type { CommandContext } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

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

/** Frozen seeds do not advance, not even those whose gate has passed. */
export function dropAdvances(state: RunState): void {
  for (const { seedId, intent } of state.plan.all)
    if (seedId !== undefined && intent.kind === "stage") state.plan.cancel(seedId);
}
