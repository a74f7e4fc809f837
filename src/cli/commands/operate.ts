/** What the operator's commands share: the run they are for, sending, and showing the outcome. */
import type { Command } from "commander";
import { printable } from "../../base/index.js";
import type { CommandOutcome } from "../../contracts/index.js";
import { newestRun, type OperatorOrder, sendCommand } from "../../weatherlight/control/control-client.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";

export interface OperatorFlags {
  readonly runDir?: string;
  readonly json?: boolean;
}

/** Adds the options that every operator's command has. */
export function addOperatorOptions(command: Command): Command {
  return command
    .option("--run-dir <path>", "the run's folder (default: the newest run that is going on in runs/)")
    .option("--json", "print one JSON object");
}

export async function runFolderOf({ runDir }: OperatorFlags): Promise<string> {
  return runDir ?? (await newestRun());
}

/** Sends a command, prints its outcome and returns the exit code: 0 where it is applied, 1 where it is not. */
export async function operate(order: OperatorOrder, flags: OperatorFlags, io: Io): Promise<number> {
  const outcome = await sendCommand(await runFolderOf(flags), order);
  io.stdout.write(`${flags.json ? JSON.stringify(jsonOf(outcome)) : printable(describeOutcome(outcome))}\n`);
  return outcome.status === "applied" || outcome.status === "duplicate" ? EXIT.done : EXIT.failed;
}

/** One line: `applied, in effect from step 120 on (seed s1)`. */
export function describeOutcome({ status, reason, effectiveStep, seedId, message }: CommandOutcome): string {
  const what = reason === "" ? status : `${status}: ${reason}`;
  const when = effectiveStep === undefined ? "" : `, in effect from step ${effectiveStep} on`;
  const whom = seedId === undefined ? "" : ` (seed ${seedId})`;
  return `${what}${when}${whom}${message ? ` — ${message}` : ""}`;
}

function jsonOf({ status, reason, commandId, effectiveStep, seedId, message }: CommandOutcome) {
  return {
    type: "outcome",
    status,
    reason,
    command_id: commandId ?? null,
    effective_step: effectiveStep ?? null,
    seed_id: seedId ?? null,
    message: message ?? null,
  };
}
