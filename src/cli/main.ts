#!/usr/bin/env node
/** The `kasmina` program. */
import { setFlagsFromString } from "node:v8";
import { idleCollector } from "../base/garbage-collector.node.js";
import { hideKeys, quietRuntime } from "../base/quiet-runtime.node.js";

quietRuntime();
hideKeys();

// Whoever reads our output or our messages may go away (`kasmina … | head`, a closed terminal), and the disk that they go to
// may be full. Nobody's training ends by that; output that is lost otherwise than by a reader who left is reported at the end.
let lostOutput: string | undefined;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") lostOutput ??= error.message;
});
process.stderr.on("error", () => undefined);
process.on("exit", () => {
  if (lostOutput === undefined) return;
  process.stderr.write(`kasmina: cannot write to the standard output: ${lostOutput}\n`);
  process.exitCode ||= 1;
});

// Node's own answer to this signal is to open a debugger, through which anybody on this machine can run code in here.
if (process.platform !== "win32") process.on("SIGUSR1", () => undefined);

// Where cores are few, threads that collect young garbage together wait for each other: 5 to 13 ms between two steps of
// the trainer, where one thread takes 1 to 2.
setFlagsFromString("--no-parallel-scavenge");

// Loaded one after the other, so that signals and timers get their turn in between.
await import("commander");
const { processIo } = await import("./terminal/io.js");
const { runCli } = await import("./cli.js");

// Loading leaves 8 MB of garbage, which a command that goes on for hours would hold to its end.
idleCollector(1_000)();

process.exitCode = await runCli(process.argv.slice(2), processIo);
