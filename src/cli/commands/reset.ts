/** `kasmina reset <scope>`: clears seeds, their optimizer entries, cached kernels and the nonce ledger together. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, type OperatorFlags, operate } from "./operate.js";

export function addReset(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(command.argument("<scope>", "registry, or teacher for the teacher too")).action(
    async (scope: string, flags: OperatorFlags) => {
      if (scope !== "registry" && scope !== "teacher")
        throw new KasminaError("invalid_argument", `the scope must be registry or teacher, got "${scope}"`);
      done(await operate({ order: { kind: "RESET", scope } }, flags, io));
    },
  );
}
