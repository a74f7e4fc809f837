/** `kasmina sweep` and `kasmina worker`: many runs, whatever happens to who does them, and what came of them. */
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { Command } from "commander";
import { KasminaError, printable, systemClock } from "../../base/index.js";
import { type Variant, variantName } from "../../weatherlight/sweep/sweep-file.js";
import { SweepFolder, type SweepRunStatus } from "../../weatherlight/sweep/sweep-folder.node.js";
import { type Interval, sweepResults, type VariantResult } from "../../weatherlight/sweep/sweep-results.js";
import { launchProcess, workOn } from "../../weatherlight/sweep/work.node.js";
import { EXIT } from "../terminal/exit.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";
import { addGrow } from "./grow.js";

interface SweepFlags {
  readonly json?: boolean;
}

interface WorkFlags extends SweepFlags {
  readonly slots?: number;
}

type Done = (exitCode: number) => void;

export function addSweep(command: Command, io: Io, done: Done): void {
  command.helpCommand(false).usage("<file> [options] | status|stop|results <folder>");
  addWork(command.command("start <file>", { isDefault: true }))
    .description("do every run of a file, or go on with them")
    .option("--dir <folder>", "of the sweep (default: sweeps/<name of the file>)")
    .action(async (file: string, { dir, ...flags }: WorkFlags & { readonly dir?: string }) => {
      const path = dir ?? join("sweeps", basename(file).replace(/\.json$/, ""));
      done(await work(await SweepFolder.create(file, path, optionsOfGrow(io)), flags, io));
    });
  const of = (name: string, summary: string, act: (folder: SweepFolder, json: boolean) => Promise<void>) =>
    command
      .command(`${name} <folder>`)
      .description(summary)
      .option("--json", "print one JSON object a line")
      .action(async (path: string, { json = false }: SweepFlags) => {
        await act(await SweepFolder.open(path, optionsOfGrow(io)), json);
        done(EXIT.done);
      });
  of("status", "show how far every run has come", async (folder, json) => {
    const statuses = await folder.status();
    if (json) for (const status of statuses) io.stdout.write(`${JSON.stringify(jsonOf(status))}\n`);
    else io.stdout.write(formatStatuses(statuses));
  });
  of("stop", "ask whoever works on a sweep to stop, with every checkpoint written", async (folder) => {
    await folder.askToStop();
  });
  of("results", "compare the variants, over seeds and in pairs with the first one", async (folder, json) => {
    const results = sweepResults(folder, await folder.status());
    if (json) for (const result of results) io.stdout.write(`${JSON.stringify(result)}\n`);
    else io.stdout.write(formatResults(results));
  });
}

export function addWorker(command: Command, io: Io, done: Done): void {
  addWork(command.argument("<folder>", "of a sweep")).action(async (path: string, flags: WorkFlags) => {
    done(await work(await SweepFolder.open(path, optionsOfGrow(io)), flags, io));
  });
}

function addWork(command: Command): Command {
  return command
    .option("--slots <n>", "runs at once (default: the cores of this machine)", toSlots)
    .option("--json", "print one JSON object a run");
}

async function work(
  folder: SweepFolder,
  { slots = availableParallelism(), json = false }: WorkFlags,
  io: Io,
): Promise<number> {
  const stop = new AbortController();
  const dispose = io.onSignal(() => {
    say(io, "stopping: every run ends with its checkpoint written");
    stop.abort();
  });
  let over = (await folder.status()).filter(({ state }) => state === "finished").length;
  const total = folder.sweep.runs.length;
  const onRun = (status: SweepRunStatus): void => {
    if (status.state === "finished") over++;
    if (json) io.stdout.write(`${JSON.stringify(jsonOf(status))}\n`);
    else say(io, `${status.run.id} ${status.state}${outcomeOf(status)} (${over} of ${total})`);
  };
  folder.withdrawStop();
  // Waiting for what others do keeps no process alive by itself.
  const alive = setInterval(() => undefined, 60_000);
  try {
    const launch = launchProcess(process.argv[1] ?? "");
    await workOn({ folder, slots, launch, clock: systemClock, signal: stop.signal, onRun });
  } finally {
    clearInterval(alive);
    dispose();
  }
  const statuses = await folder.status();
  if (!json) io.stdout.write(formatResults(sweepResults(folder, statuses)));
  return statuses.every(({ state }) => state === "finished") ? EXIT.done : EXIT.failed;
}

function outcomeOf({ summary, problem }: SweepRunStatus): string {
  if (problem !== undefined) return `: ${problem}`;
  if (!summary) return "";
  return summary.accuracy === null ? `: loss ${summary.loss?.toFixed(4)}` : `: ${percent(summary.accuracy)}`;
}

/** The names of the options of `kasmina grow`, which are those of a sweep's file. */
function optionsOfGrow(io: Io): ReadonlySet<string> {
  const grow = new Command("grow");
  addGrow(grow, io, () => undefined);
  return new Set(grow.options.map(({ long }) => String(long).replace(/^--/, "")));
}

function jsonOf({ run, state, summary, problem }: SweepRunStatus) {
  return {
    ...{ type: "sweep_run", id: run.id, variant: run.variant, seed: run.seed, state },
    accuracy: summary?.accuracy ?? null,
    loss: summary?.loss ?? null,
    problem: problem ?? null,
  };
}

function formatStatuses(statuses: readonly SweepRunStatus[]): string {
  const rows = statuses.map((status) => [status.run.id, status.state, printable(outcomeOf(status).slice(2))]);
  const states = [...new Set(statuses.map(({ state }) => state))];
  const counts = states.map((one) => `${statuses.filter(({ state }) => state === one).length} ${one}`);
  return `${[...formatTable([["run", "state", "outcome"], ...rows]), "", counts.join(", ")].join("\n")}\n`;
}

function formatResults(results: readonly VariantResult[]): string {
  const rows = results.map((result) => [
    variantName(result.variant),
    printable(optionsText(result.options)),
    `${result.finished} of ${result.runs}`,
    shown(result.accuracy, percent),
    shown(result.loss, (loss) => loss.toFixed(4)),
    shown(result.loss_difference, (loss) => `${loss < 0 ? "−" : "+"}${Math.abs(loss).toFixed(4)}`),
  ]);
  const header = [
    "variant",
    "options",
    "finished",
    "accuracy",
    "loss",
    `loss, less that of ${variantName(0)}`,
  ];
  const lines = formatTable([header, ...rows], ["left", "left", "right", "right", "right", "right"]);
  return `${lines.join("\n")}\n± is half of a 95 % interval over the seeds\n`;
}

function optionsText(options: Variant): string {
  return (
    Object.entries(options)
      .map(([name, value]) => `${name}=${value}`)
      .join(" ") || "as given"
  );
}

function shown(interval: Interval | null, format: (value: number) => string): string {
  if (!interval) return "–";
  const { mean, half_95: half } = interval;
  return half === null ? format(mean) : `${format(mean)} ± ${format(half).replace("+", "")}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function toSlots(text: string): number {
  const slots = Number(text);
  if (Number.isInteger(slots) && slots >= 1 && slots <= 1_024) return slots;
  const problem = `must be a whole number in 1..1024, got "${text}"`;
  throw new KasminaError("invalid_argument", `slots ${problem}`, { details: { key: "slots", problem } });
}
