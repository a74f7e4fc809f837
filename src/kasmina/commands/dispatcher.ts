/** Hands a verified command to the one handler of its type. Unknown ones are refused. */
import type { AdaptationCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { type CommandKind, commandWords } from "../../contracts/names.js";
import type { CommandContext } from "./context.js";
import { handleOptimizer } from "./optimizer.js";
import { type HandlerResult, refused } from "./outcome.js";
import { handleCircuitBreaker, handleEmergency, handleReset, handleRollback } from "./run-commands.js";
import { handlePause, handleSeed } from "./seed.js";

type Payload = AdaptationCommand["payload"];
type PayloadCase = Exclude<Payload["case"], undefined>;
type Handler<C extends PayloadCase> = (
  context: CommandContext,
  order: Extract<Payload, { case: C }>["value"],
) => HandlerResult;

interface Route<C extends PayloadCase> {
  readonly kind: CommandKind;
  readonly handle: Handler<C>;
}

const ROUTES: { readonly [C in PayloadCase]: Route<C> } = {
  seed: { kind: "SEED", handle: handleSeed },
  rollback: { kind: "ROLLBACK", handle: handleRollback },
  optimizer: { kind: "OPTIMIZER", handle: handleOptimizer },
  circuitBreaker: { kind: "CIRCUIT_BREAKER", handle: handleCircuitBreaker },
  pause: { kind: "PAUSE", handle: handlePause },
  emergency: { kind: "EMERGENCY", handle: handleEmergency },
  reset: { kind: "RESET", handle: handleReset },
};

export function dispatch(context: CommandContext): HandlerResult {
  const { payload, commandType } = context.command;
  if (payload.case === undefined)
    return refused("unknown_command", undefined, "the command carries no order");
  const route = ROUTES[payload.case] as Route<PayloadCase>;
  if (commandWords.word(commandType) !== route.kind)
    return refused(
      "unknown_command",
      undefined,
      `type ${commandType} does not fit the order ${payload.case}`,
    );
  return route.handle(context, payload.value as never);
}
