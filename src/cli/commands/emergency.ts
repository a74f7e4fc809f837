/** `kasmina emergency <level>`: pauses growth, freezes seeds, halts a running trainer, or ends the emergency. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import type { EmergencyLevel } from "../../contracts/index.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, type OperatorFlags, operate } from "./operate.js";

const LEVELS: Readonly<Record<string, EmergencyLevel>> = {
  "pause-growth": "PAUSE_GROWTH",
  "freeze-seeds": "FREEZE_SEEDS",
  halt: "HALT",
  clear: "CLEAR",
};

export function addEmergency(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(
    command
      .argument("<level>", Object.keys(LEVELS).join(", "))
      .option("--reason <text>", "for the run's log", "operator"),
  ).action(async (word: string, flags: OperatorFlags & { readonly reason: string }) => {
    const level = Object.hasOwn(LEVELS, word) ? LEVELS[word] : undefined;
    if (!level) {
      const known = Object.keys(LEVELS).join(", ");
      throw new KasminaError("invalid_argument", `the level must be one of ${known}, got "${word}"`);
    }
    done(await operate({ order: { kind: "EMERGENCY", level, reason: flags.reason } }, flags, io));
  });
}
