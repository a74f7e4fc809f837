/** `kasmina seed …`: operator's commands for one seed of a running trainer. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import { advanceOrder } from "../../weatherlight/control/control-client.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, type OperatorFlags, operate, runFolderOf } from "./operate.js";

interface GerminateFlags extends OperatorFlags {
  readonly slot: string;
  readonly blueprint: string;
  readonly param: Readonly<Record<string, number>>;
}

export function addSeed(command: Command, io: Io, done: (exitCode: number) => void): void {
  command.description("command one seed of a running trainer").usage("<operation> …");
  addGerminate(command, io, done);
  addOperatorOptions(
    command.command("advance <seed>").description("ask the next gate to admit the seed"),
  ).action(async (seedId: string, flags: OperatorFlags) => {
    const runDir = await runFolderOf(flags);
    done(await operate(await advanceOrder(runDir, seedId), { ...flags, runDir }, io));
  });
  for (const [name, operation, summary] of SIMPLE) {
    addOperatorOptions(command.command(`${name} <seed>`).description(summary)).action(
      async (seedId: string, flags: OperatorFlags) => {
        done(await operate({ order: { kind: "SEED", operation }, seedId }, flags, io));
      },
    );
  }
  for (const name of ["pause", "resume"] as const) {
    addOperatorOptions(command.command(`${name} <seed>`).description(PAUSES[name])).action(
      async (seedId: string, flags: OperatorFlags) => {
        done(await operate({ order: { kind: "PAUSE", resume: name === "resume" }, seedId }, flags, io));
      },
    );
  }
}

const SIMPLE = [
  ["fossilize", "FOSSILIZE", "keep the seed for good"],
  ["cull", "CULL", "remove the seed"],
  ["cancel", "CANCEL", "cancel the seed's pending change"],
] as const;

const PAUSES = {
  pause: "take the seed out of the step, its weights kept",
  resume: "put a paused seed back into the step",
} as const;

function addGerminate(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(
    command
      .command("germinate [seed]")
      .description("graft a new seed")
      .requiredOption("--slot <id>", "slot to graft it into")
      .requiredOption("--blueprint <id>", "its blueprint")
      .option("--param <name=value>", "a parameter of the blueprint; may be repeated", addParameter, {}),
  ).action(async (seedId: string | undefined, flags: GerminateFlags) => {
    const { slot: slotId, blueprint: blueprintId, param: parameters } = flags;
    const order = { kind: "SEED" as const, operation: "GERMINATE" as const, blueprintId, parameters };
    done(await operate({ order, slotId, ...(seedId !== undefined && { seedId }) }, flags, io));
  });
}

function addParameter(text: string, known: Readonly<Record<string, number>>): Record<string, number> {
  const [name = "", value = ""] = text.split("=");
  const number = value.trim() === "" ? Number.NaN : Number(value);
  if (name === "" || Number.isNaN(number))
    throw new KasminaError("invalid_argument", `--param must be name=number, got ${JSON.stringify(text)}`);
  return { ...known, [name]: number };
}
