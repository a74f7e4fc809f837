/** `kasmina report`: the course of a run as one HTML page. */
import { join } from "node:path";
import type { Command } from "commander";
import { writeFileAtomically } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, utf8 } from "../../base/index.js";
import { reportOf } from "../../weatherlight/report/index.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";

const FILE = "report.html";

export function addReport(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("<run-dir>", "folder of a run")
    .option("--out <file>", `where to write it (default: <run-dir>/${FILE})`)
    .action(async (runDir: string, { out = join(runDir, FILE) }: { readonly out?: string }) => {
      const page = utf8(await reportOf(runDir));
      await writeFileAtomically(out, page).catch((error: unknown) => {
        throw new KasminaError("io", `cannot write ${out}: ${messageOf(error)}`, { cause: error });
      });
      io.stdout.write(`${out}\n`);
      done(EXIT.done);
    });
}
