/** Which process holds something, so that another one can tell whether it still runs, whatever the clock says. */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";

/**
 * A process id alone is used again. Linux counts the start of a process in ticks since the machine booted, which no change of
 * the clock moves; ids mean something within one boot and one namespace of processes (a container has its own).
 */
export const identitySchema = z.object({
  host: z.string(),
  /** Of the running kernel; empty where the system has none. */
  boot: z.string(),
  /** Of the process ids; empty where the system has none. */
  namespace: z.string(),
  pid: z.int().positive(),
  /** When the process started; empty where that cannot be asked. */
  start: z.string(),
});
export type ProcessIdentity = z.infer<typeof identitySchema>;

/** What is known of a process without asking it. */
export type Liveness = "alive" | "suspended" | "dead" | "unknown";

/** A process that has ended and waits for its parent to notice; one that is being removed. */
const ENDED_STATES = ["Z", "X", "x"];
const SUSPENDED_STATES = ["T", "t"];
/** In what follows the name of the program in `/proc/<pid>/stat`, from 0. */
const STATE_FIELD = 0;
const START_FIELD = 19;

export function ownIdentity(): ProcessIdentity {
  return {
    host: hostname(),
    boot: textOf(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
    namespace: textOf(() => readlinkSync("/proc/self/ns/pid")),
    pid: process.pid,
    start: startOf(process.pid)?.start ?? "",
  };
}

/**
 * Whether the process still runs, as `own` sees it.
 * @param isLocal whether no other machine can reach what it holds: then another boot is an earlier one of this machine
 */
export function livenessOf(other: ProcessIdentity, own: ProcessIdentity, isLocal: boolean): Liveness {
  if (other.boot !== own.boot) return isLocal ? "dead" : "unknown";
  if (other.boot === "" && other.host !== own.host) return "unknown";
  if (other.namespace !== own.namespace) return "unknown";
  if (!exists(other.pid)) return "dead";
  const now = startOf(other.pid);
  if (now === undefined || other.start === "") return "unknown";
  if (now.start !== other.start || ENDED_STATES.includes(now.state)) return "dead";
  return SUSPENDED_STATES.includes(now.state) ? "suspended" : "alive";
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process that is there but is not ours answers EPERM.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function startOf(pid: number): { readonly start: string; readonly state: string } | undefined {
  if (process.platform === "linux") return fromProc(pid);
  if (process.platform === "win32") return undefined;
  const [state = "", ...start] = textOf(() =>
    execFileSync("/bin/ps", ["-o", "state=,lstart=", "-p", String(pid)], { encoding: "utf8" }),
  ).split(/\s+/);
  return start.length > 0 ? { start: start.join(" "), state: state.slice(0, 1) } : undefined;
}

function fromProc(pid: number): { readonly start: string; readonly state: string } | undefined {
  const text = textOf(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  // The program's name is in brackets and may hold any character, brackets too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, start] = [fields[STATE_FIELD], fields[START_FIELD]];
  return state && start ? { state, start } : undefined;
}

function textOf(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return "";
  }
}
