/** OPTIMIZER commands: new values for the host's parameter group or one seed's, within bounds, at this boundary. */
import type { OptimizerCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { canCull } from "../../contracts/stages.js";
import type { OptimizerSettings } from "../state/change-plan.js";
import { type CommandContext, stageMismatch, targetSeed } from "./context.js";
import { applied, type HandlerResult, refused } from "./outcome.js";

const HOST = "host";
const TEACHER = "teacher";
const SETTINGS = ["learningRate", "momentum", "weightDecay"] as const;

export function handleOptimizer(context: CommandContext, order: OptimizerCommand): HandlerResult {
  const settings = settingsOf(order);
  if (Object.keys(settings).length === 0) return refused("optimizer_empty");
  const problem = boundsProblem(context, settings);
  if (problem) return refused("optimizer_out_of_bounds", undefined, problem);
  const target = context.command.targetSeedId || HOST;
  if (target === HOST) return plan(context, HOST, settings);
  if (target === TEACHER) return refused("teacher_immutable");
  const found = targetSeed(context);
  if ("refusal" in found) return found.refusal;
  if (!canCull(found.seed.stage)) return stageMismatch(found.seed, "a stage with parameters of its own");
  return plan(context, target, settings);
}

function settingsOf({ learningRate, momentum, weightDecay }: OptimizerCommand): OptimizerSettings {
  return {
    ...(learningRate !== undefined && { learningRate }),
    ...(momentum !== undefined && { momentum }),
    ...(weightDecay !== undefined && { weightDecay }),
  };
}

function boundsProblem({ state }: CommandContext, settings: OptimizerSettings): string | undefined {
  for (const name of SETTINGS) {
    const value = settings[name];
    const [min, max] = state.config.optimizer[name];
    if (value !== undefined && !(value >= min && value <= max))
      return `${name} must be in ${min}..${max}, got ${value}`;
  }
  return undefined;
}

function plan({ state, now, command }: CommandContext, target: string, settings: OptimizerSettings) {
  state.plan.add(now.step, { kind: "optimizer", target, settings });
  state.telemetry.event(target === HOST ? undefined : target, "optimizer_adjusted", "INFO", {
    target,
    ...settings,
    command_id: command.commandId,
  });
  return applied(now.step, target === HOST ? undefined : target);
}
