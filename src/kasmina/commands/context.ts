/** What a handler is given. It reads the command, changes the run's state through it, and answers. */
import type { AdaptationCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { type Stage, stageWords } from "../../contracts/names.js";
import type { RunState } from "../state/run-state.js";
import type { MutableSeed } from "../state/seed.js";
import { type HandlerResult, refused } from "./outcome.js";

/** The step boundary at which commands are handled. */
export interface Boundary {
  readonly step: number;
  readonly epoch: number;
}

export interface CommandContext {
  readonly state: RunState;
  readonly command: AdaptationCommand;
  readonly now: Boundary;
  /** Forgets every nonce and raises the floor to now; does nothing where a journaled command is replayed. */
  readonly resetLedger: () => void;
}

/** The stage that the command expects; undefined where it does not say. */
export function expectedStageOf(command: AdaptationCommand): Stage | undefined {
  const stage = stageWords.word(command.expectedStage);
  return stage === "UNKNOWN" ? undefined : stage;
}

/** The step at which a change of topology accepted now takes effect. */
export function leadStep({ state, now }: CommandContext): number {
  return now.step + state.config.leadSteps;
}

/** The command's seed, found and in the stage the command expects; or the refusal. */
export function targetSeed(
  context: CommandContext,
): { readonly seed: MutableSeed } | { readonly refusal: HandlerResult } {
  const { state, command } = context;
  const seed = state.registry.find(command.targetSeedId);
  if (!seed)
    return {
      refusal: refused("unknown_seed", undefined, `there is no seed ${quoted(command.targetSeedId)}`),
    };
  const expected = expectedStageOf(command);
  if (expected === undefined || expected === seed.stage) return { seed };
  return { refusal: stageMismatch(seed, expected) };
}

export function stageMismatch(seed: MutableSeed, expected: string): HandlerResult {
  return refused("stage_mismatch", seed.id, `seed ${seed.id} is ${seed.stage}, expected ${expected}`);
}

/** A word out of a command, short enough for a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
