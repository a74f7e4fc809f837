/** `kasmina dashboard`: the runs of a folder as a page that follows them, until it is told to end. */
import type { Command } from "commander";
import { serveDashboard } from "../../weatherlight/dashboard/index.js";
import { parseAddress } from "../../weatherlight/telemetry/http-address.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";

const PORT = "7355";

export function addDashboard(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("[folder]", "folder of runs, or of one run", "runs")
    .option("--host <address>", "where it listens; others than this machine's own reach it", "127.0.0.1")
    .option("--port <n>", "0: any free one", PORT)
    .action(async (folder: string, { host, port }: { readonly host: string; readonly port: string }) => {
      const address = parseAddress(`${host.includes(":") ? `[${host}]` : host}:${port}`);
      const dashboard = await serveDashboard({ folder, ...address });
      io.stdout.write(`${dashboard.url}\n`);
      await new Promise<void>((end) => {
        const dispose = io.onSignal(() => {
          dispose();
          end();
        });
      });
      await dashboard.close();
      done(EXIT.done);
    });
}
