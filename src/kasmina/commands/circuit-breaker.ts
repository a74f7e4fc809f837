/** CIRCUIT_BREAKER commands: an operator opens or closes a breaker by hand. */

import type { Breaker } from "../../base/breaker.js";
import { BreakerAction, type CircuitBreakerCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { type BreakerName, breakerWords } from "../../contracts/names.js";
import { type CommandContext, stageMismatch, targetSeed } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

const ACTIONS: { readonly [A in BreakerAction]: "open" | "close" | undefined } = {
  [BreakerAction.UNSPECIFIED]: undefined,
  [BreakerAction.OPEN]: "open",
  [BreakerAction.CLOSE]: "close",
};

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
