#!/usr/bin/env node
/** The `kasmina` program. */
import { setFlagsFromString } from "node:v8";
import { runCli } from "./cli.js";
import { processIo } from "./io.js";

// Whoever reads our output may go away (`kasmina … | head`): then there is nobody left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

// Where cores are few, threads that collect young garbage together wait for each other: 5 to 13 ms between two steps of
// the trainer, where one thread takes 1 to 2.
setFlagsFromString("--no-parallel-scavenge");

process.exitCode = await runCli(process.argv.slice(2), processIo);
