/** What a command knows of the world around it, so that tests can be that world. */

import { readFileSync } from "node:fs";
import { printable } from "../../base/index.js";

export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Io {
  /** Data. */
  readonly stdout: Output;
  /** Messages. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls `listener` at every SIGINT, SIGTERM and SIGHUP that was not ignored when this process began, instead of ending the process; returns how to stop that. */
  onSignal(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once. */
  exitNow(code: number): void;
}

/** One message to whoever runs a command. Names and texts from outside may be in it: they are shown as {@link printable} has them. */
export function say({ stderr }: Pick<Io, "stderr">, text: string): void {
  stderr.write(`kasmina: ${printable(text)}\n`);
}

export const processIo: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  onSignal(listener) {
    const ignored = isHangupIgnored(process.env, parentStatus) ? () => undefined : listener;
    process.on("SIGINT", listener);
    process.on("SIGTERM", listener);
    process.on("SIGHUP", ignored);
    return () => {
      process.off("SIGINT", listener);
      process.off("SIGTERM", listener);
      process.off("SIGHUP", ignored);
    };
  },
  exitNow: (code) => process.exit(code),
};

/** SIGHUP's bit in the masks of /proc/<pid>/status. */
const HANGUP_BIT = 1n;

/**
 * Whether this process was started to outlive its terminal. Node makes an ignored SIGHUP deadly again before any script runs, so it
 * has to be guessed: shells tell a command its own path in `_`, which is nohup's then; and whose parent ignores the signal,
 * as a script does under nohup, has inherited that.
 *
 * @param status /proc/<pid>/status of the parent, where there is such a thing
 */
export function isHangupIgnored(
  env: Readonly<Record<string, string | undefined>>,
  status: () => string | undefined,
): boolean {
  if (env._ !== undefined && /(^|\/)nohup$/.test(env._)) return true;
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status() ?? "")?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & HANGUP_BIT) === HANGUP_BIT;
}

function parentStatus(): string | undefined {
  try {
    return readFileSync(`/proc/${process.ppid}/status`, "utf8");
  } catch {
    return undefined;
  }
}

/** Whether a stream wants colours: a terminal, and nobody said NO_COLOR (https://no-color.org). */
export function wantsColor(io: Io, stream: Output): boolean {
  return stream.isTTY === true && !io.env.NO_COLOR && io.env.TERM !== "dumb";
}

/** What is no number stays a text, so that the one validator can say what was typed. */
export function toNumber(text: string): unknown {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isNaN(value) ? text : value;
}
