#!/usr/bin/env node
/** The `kasmina` program. */
import { setFlagsFromString } from "node:v8";

// Whoever reads our output may go away (`kasmina … | head`): then there is nobody left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

// Where cores are few, threads that collect young garbage together wait for each other: 5 to 13 ms between two steps of
// the trainer, where one thread takes 1 to 2.
setFlagsFromString("--no-parallel-scavenge");

// Loaded one after the other, so that signals and timers get their turn in between.
await import("commander");
const { processIo } = await import("./terminal/io.js");
const { runCli } = await import("./cli.js");

process.exitCode = await runCli(process.argv.slice(2), processIo);
