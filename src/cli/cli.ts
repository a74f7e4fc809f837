/** The command line: finds the command, loads its file and runs it. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { EXIT, reportError } from "./terminal/exit.js";
import type { Io } from "./terminal/io.js";

/** A command's own file adds its options to `command` and what it does, by way of `done`. */
export type AddCommand = (command: Command, io: Io, done: (exitCode: number) => void) => void;

interface CommandEntry {
  readonly summary: string;
  load(): Promise<AddCommand>;
}

/** One file a command; a file is loaded when its command is called. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  grow: {
    summary: "train a host network and grow it",
    load: async () => (await import("./commands/grow.js")).addGrow,
  },
  catalog: {
    summary: "build, list, verify, add and harvest kernels",
    load: async () => (await import("./commands/catalog.js")).addCatalog,
  },
  inspect: {
    summary: "show what a run folder holds, and check it",
    load: async () => (await import("./commands/inspect.js")).addInspect,
  },
  replay: {
    summary: "do a run again from its journal, and say whether it came out the same",
    load: async () => (await import("./commands/replay.js")).addReplay,
  },
  export: {
    summary: "write the grown network as ONNX or safetensors",
    load: async () => (await import("./commands/export.js")).addExport,
  },
  runs: {
    summary: "list the runs of a folder",
    load: async () => (await import("./commands/runs.js")).addRuns,
  },
  compare: {
    summary: "show what sets runs apart: what they were asked for, and what came of it",
    load: async () => (await import("./commands/runs.js")).addCompare,
  },
  predict: {
    summary: "say what a grown network makes of each row of data",
    load: async () => (await import("./commands/predict.js")).addPredict,
  },
  evaluate: {
    summary: "say how good a grown network is on data with labels",
    load: async () => (await import("./commands/predict.js")).addEvaluate,
  },
  sweep: {
    summary: "do many runs: a grid, random draws, seeds; compare what came of them",
    load: async () => (await import("./commands/sweep.js")).addSweep,
  },
  worker: {
    summary: "help with the runs of a sweep in a shared folder",
    load: async () => (await import("./commands/sweep.js")).addWorker,
  },
  dashboard: {
    summary: "watch runs live in a browser, and command them",
    load: async () => (await import("./commands/dashboard.js")).addDashboard,
  },
  generate: {
    summary: "go on with a text as the network has learned",
    load: async () => (await import("./commands/generate.js")).addGenerate,
  },
  report: {
    summary: "draw the course of a run as one HTML page",
    load: async () => (await import("./commands/report.js")).addReport,
  },
  status: {
    summary: "show what a running trainer is doing",
    load: async () => (await import("./commands/status.js")).addStatus,
  },
  seed: {
    summary: "germinate, advance, fossilize, cull, pause or resume a seed of a running trainer",
    load: async () => (await import("./commands/seed.js")).addSeed,
  },
  optimizer: {
    summary: "change learning rate, momentum or weight decay of a running trainer",
    load: async () => (await import("./commands/optimizer.js")).addOptimizer,
  },
  emergency: {
    summary: "pause growth, freeze seeds or halt a running trainer",
    load: async () => (await import("./commands/emergency.js")).addEmergency,
  },
  rollback: {
    summary: "take a running trainer back to its last good state",
    load: async () => (await import("./commands/rollback.js")).addRollback,
  },
  reset: {
    summary: "clear the seed registry or the teacher of a running trainer",
    load: async () => (await import("./commands/reset.js")).addReset,
  },
  serve: {
    summary: "serve kernels, policy or supervision to the runs of many machines",
    load: async () => (await import("./commands/serve.js")).addServe,
  },
  keys: {
    summary: "make and list the keys that sign commands",
    load: async () => (await import("./commands/keys.js")).addKeys,
  },
};

/** Runs one command line, without `node` and the script. Returns the exit code; prints every error itself. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = new Command("kasmina")
    .description("Grow neural networks while they train.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: () => undefined,
    });
  const called = args.find((arg) => !arg.startsWith("-")) ?? "";
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary);
    const done = (code: number): void => {
      exitCode = code;
    };
    if (name === called) (await load())(command, io, done);
  }
  const typed = Object.hasOwn(COMMANDS, called) ? `kasmina ${called}` : "kasmina";
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    return reportError(error, typed, io);
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
