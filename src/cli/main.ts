#!/usr/bin/env node
/** The `kasmina` program. */
import { runCli } from "./cli.js";
import { processIo } from "./io.js";

// Whoever reads our output may go away (`kasmina … | head`): then there is nobody left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

process.exitCode = await runCli(process.argv.slice(2), processIo);
