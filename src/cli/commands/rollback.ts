/** `kasmina rollback`: takes a running trainer back to its last good state, in memory or on disk. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, type OperatorFlags, operate } from "./operate.js";

interface RollbackFlags extends OperatorFlags {
  readonly to: string;
  readonly reason: string;
}

export function addRollback(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(
    command
      .option("--to <source>", "memory (the last good state) or checkpoint", "memory")
      .option("--reason <text>", "for the run's log", "operator"),
  ).action(async ({ to, reason, ...flags }: RollbackFlags) => {
    if (to !== "memory" && to !== "checkpoint")
      throw new KasminaError("invalid_argument", `--to must be memory or checkpoint, got "${to}"`);
    done(await operate({ order: { kind: "ROLLBACK", source: to, reason } }, flags, io));
  });
}
