/** How errors become one line on stderr and an exit code (docs/command-line.md, "Exit codes"). */
import { CommanderError } from "commander";
import { type ErrorCode, KasminaError, messageOf, printable } from "../../base/index.js";
import type { Io, StopSignal } from "./io.js";

export const EXIT = { done: 0, failed: 1, usage: 2, halted: 3 } as const;

export const EXIT_OF_SIGNAL: { readonly [S in StopSignal]: number } = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
};

/** Codes that say that what was asked for, or given as input, was wrong; every other one says that a run failed. */
const USAGE_CODES: readonly ErrorCode[] = ["invalid_argument", "invalid_data"];

/**
 * Prints an error and returns the exit code.
 *
 * @param command as typed, for the way out: `kasmina grow`
 */
export function reportError(error: unknown, command: string, io: Io): number {
  if (error instanceof CommanderError) return reportCommander(error, command, io);
  io.stderr.write(`kasmina: ${lineOf(error, command)}\n`);
  if (io.env.KASMINA_DEBUG && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  return error instanceof KasminaError && USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.failed;
}

function lineOf(error: unknown, command: string): string {
  if (!(error instanceof KasminaError)) {
    return `unexpected: ${printable(messageOf(error))} (KASMINA_DEBUG=1 shows where)`;
  }
  const { key, problem } = error.details;
  if (typeof key !== "string" || typeof problem !== "string") return printable(error.message);
  return printable(`${optionName(key)} ${problem}; see ${command} --help`);
}

/** Commander has printed help and version already; its errors come with a prefix and hints on lines of their own. */
function reportCommander(error: CommanderError, command: string, io: Io): number {
  if (error.exitCode === 0) return EXIT.done;
  const message = printable(error.message).replace(/^error: /, "");
  if (error.code !== "commander.help") io.stderr.write(`kasmina: ${message}; see ${command} --help\n`);
  return EXIT.usage;
}

/** `runDir` → `--run-dir`. */
function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
