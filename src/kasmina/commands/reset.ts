/**
 * RESET commands: the seed registry or, moreover, the teacher. Seeds, optimizer entries, cached kernels and the nonce
 * ledger go together; the ledger's floor rises to now, so nothing issued before the reset is accepted after it.
 * FOSSILIZED seeds are part of the host and stay.
 */
import type { ResetCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { resetWords } from "../../contracts/names.js";
import type { CommandContext } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

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
