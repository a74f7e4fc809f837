#!/usr/bin/env node
/** The `kasmina` program. In a clone that was not built yet it is built first: installing runs no scripts, not even ours. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const main = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(main)) {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  process.stderr.write("building kasmina, once\n");
  // What it prints is no data of the command that was asked for.
  const built = spawnSync("npm", ["run", "--silent", "build"], {
    cwd,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (built.status !== 0) process.exit(1);
}
await import(main.href);
