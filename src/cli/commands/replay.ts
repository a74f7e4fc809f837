/** `kasmina replay`: does a run again from its journal and says whether it came out the same. */
import type { Command } from "commander";
import { replayRun } from "../../weatherlight/run/replay.node.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say } from "../terminal/io.js";
import { addModuleOptions, givenModules, type ModuleFlags } from "./modules.js";

interface Flags {
  readonly data?: string;
  readonly json?: boolean;
}

export function addReplay(command: Command, io: Io, done: (exitCode: number) => void): void {
  addModuleOptions(command)
    .argument("<run-dir>", "folder of a run")
    .option("--data <name>", "where the run's data lie now (default: where they lay when it began)")
    .option("--json", "print one JSON object")
    .action(async (path: string, { json, data, ...modules }: Flags & ModuleFlags) => {
      const onEpoch = (epoch: number, trainLoss: number): void => {
        if (!json) io.stderr.write(`epoch ${epoch} again, train loss ${trainLoss.toFixed(4)}\n`);
      };
      const replay = await replayRun(path, {
        onEpoch,
        ...(data !== undefined && { data }),
        ...givenModules(modules),
      });
      if (replay.notVerified !== undefined) say(io, `not verified: ${replay.notVerified}`);
      const same = replay.firstDifference === null && replay.sameTensors;
      const what = `${count(replay.steps)} steps and ${count(replay.commands)} commands again`;
      const where =
        replay.firstDifference === null
          ? "the parameters differ"
          : `the loss differs from step ${replay.firstDifference} on`;
      io.stdout.write(
        json
          ? `${JSON.stringify({ same, ...replay })}\n`
          : `${what}: ${same ? "the same to the last bit" : where}\n`,
      );
      done(same ? EXIT.done : EXIT.failed);
    });
}
