/** `kasmina grow`: trains a host network and grows it, in a thread of its own. */
import { randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { makeFolder, readRegular } from "../../base/disk/index.node.js";
import {
  formatFlops,
  KasminaError,
  messageOf,
  parseStrictJson,
  printable,
  systemClock,
} from "../../base/index.js";
import { DATA_FORMS } from "../../data/open.js";
import type { Dashboard } from "../../weatherlight/dashboard/index.js";
import type { Summary } from "../../weatherlight/folder/growth-lines.js";
import { growInWorker, type WorkerCallbacks } from "../../weatherlight/run/grow-in-worker.js";
import { parseAddress } from "../../weatherlight/telemetry/http-address.js";
import type { LogEnd } from "../../weatherlight/telemetry/log/log-target.js";
import type { RunLog } from "../../weatherlight/telemetry/log/run-log.node.js";
import type { WatchedRun } from "../../weatherlight/telemetry/watched-run.node.js";
import { EXIT, EXIT_OF_SIGNAL } from "../terminal/exit.js";
import { count, formatDuration, formatReport } from "../terminal/growth-report.js";
import { createGrowthView, type GrowthView } from "../terminal/growth-view.js";
import { type Io, type StopSignal, say, toNumber, wantsColor } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

/** How the run is done: in a worker, or in a test by something smaller. */
export type Grow = (
  options: Readonly<Record<string, unknown>>,
  callbacks: WorkerCallbacks,
) => Promise<Summary>;

interface GrowFlags {
  readonly oona?: string;
  readonly metrics?: string;
  readonly dashboard?: string | true;
  readonly log?: readonly string[];
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addGrow(
  command: Command,
  io: Io,
  done: (exitCode: number) => void,
  grow: Grow = growInWorker,
): void {
  command
    .option("--data <name>", `${DATA_FORMS} (default: spirals)`)
    .option(
      "--host <name>",
      "resmlp, resconv, charlm, with sizes: resmlp:width=128,blocks=4; onnx:<file>, module:<file>#<export> (default: what suits the data)",
    )
    .option(
      "--from <run>",
      "go on from the network of this run (a folder), or from an ONNX file: it is the host of a new run",
    )
    .option("--keep-optimizer", "with --from: keep that run's optimizer state too (default: begin anew)")
    .option("--head <what>", "of an ONNX file: auto, keep, new (default: auto, kept where it fits the data)")
    .option("--train <what>", "of an ONNX file: seeds, head, all (default: seeds; a new head learns always)")
    .option("--engine <name>", "auto, native, wasm, gpu, gpu:cuda (default: auto)")
    .option("--threads <n>", "threads of the native engine", toNumber)
    .option("--epochs <n>", "passes over the training data", toNumber)
    .option("--batch <n>", "rows a step", toNumber)
    .option("--lr <rate>", "learning rate (default: the optimizer's)", toNumber)
    .option(
      "--schedule <name>",
      "of the rates of host and seeds: constant, cosine, linear (default: cosine for the host)",
    )
    .option("--warmup <n>", "over which the rates rise: steps, or 5% of the run's (default: 0)", toNumber)
    .option("--optimizer <name>", "sgd, adam, adamw (default: adam)")
    .option("--weight-decay <w>", "0..1 (default: the optimizer's)", toNumber)
    .option("--clip-norm <n>", "largest norm of the gradient of the host, and of each seed", toNumber)
    .option("--patience <epochs>", "end after so many epochs without a lower held-out loss", toNumber)
    .option(
      "--keep <which>",
      "the network of the run: last, or best by its held-out loss at the end of an epoch (default: last)",
    )
    .option(
      "--threshold <aim>",
      "of two classes: choose from which probability on the second is said, for balanced_accuracy or f1 on the held-out rows",
    )
    .option("--time-limit <time>", "end after 60s, 10m, 2h, to be resumed or not; also with --resume")
    .option("--seed <n>", "everything random follows from it (default: 0)", toNumber)
    .option(
      "--blueprint <name>",
      "of the seeds; auto, a built-in one, module:<file>#<export> (default: auto)",
    )
    .option("--slots <names>", "slots that may grow, separated by commas (default: all)", toList)
    .option(
      "--policy <name>",
      "when to germinate: plateau, epoch:<n>, schedule, random, remote (default: plateau)",
    )
    .option("--budget-params <n>", "parameters that seeds may add: a number, or 50% of the host's", toNumber)
    .option("--budget-flops <n>", "FLOPs that growth may add to the host's: a number, or 50%", toNumber)
    .option("--latency-budget <ms>", "a kernel slower than this is refused (default: 10)", toNumber)
    .option(
      "--step-share-budget <share>",
      "a seed that takes more of a step's FLOPs is refused, 0..1",
      toNumber,
    )
    .option("--class-weights <how>", "balanced: classes count alike, however many rows they have")
    .option(
      "--augment <names>",
      "changes images while they are learned: flip, crop, shift, separated by commas",
      toList,
    )
    .option(
      "--label-smoothing <part>",
      "part of a label that all classes share while it is learned",
      toNumber,
    )
    .option(
      "--task <name>",
      "classification, regression, multilabel, next-token (default: what the data say)",
    )
    .option(
      "--huber-delta <d>",
      "of a regression: larger errors, in deviations of the target, count by their size alone",
      toNumber,
    )
    .option("--teacher <run-dir>", "also learn to answer like the network of this run")
    .option("--distill-weight <w>", "part of the teacher in the loss (default: 0.3)", toNumber)
    .option("--distill-temperature <t>", "softmax temperature of the comparison (default: 4)", toNumber)
    .option("--no-growth", "train the host alone")
    .option("--compare", "also train the host alone, and show both")
    .option("--catalog <path>", "folder of the kernel catalog (default: catalog in the run's folder)")
    .option("--run-dir <path>", "folder for the run's files (default: runs/<run id>)")
    .option(
      "--checkpoint-every <interval>",
      "a time (60s, 5m) or steps (500steps) within an epoch; also with --resume (default: 60s)",
    )
    .option(
      "--feature-cache <MiB>",
      "memory for what frozen blocks below the first seed give for each row; also with --resume (default: 0, none)",
      toNumber,
    )
    .option("--share", "let the group read the run's files, keys and journal aside (default: owner only)")
    .option("--resume <run-dir>", "go on with a run that stopped, from its last checkpoint")
    .option(
      "--adopt",
      "with --resume: take over, as a new run, one that came from elsewhere or is of an older format",
    )
    .option(
      "--catalog-service",
      "ask the catalog service of the bus for kernels, which writes them to --catalog",
    )
    .option("--oona <url>", "join a bus: redis://… or rediss://… (default: KASMINA_REDIS, else none)")
    .option("--metrics <host:port>", "serve /metrics to Prometheus while the run goes on")
    .option("--dashboard [host:port]", "serve the live page while the run goes on (default: any free port)")
    .option(
      "--log <where>",
      "log the run: tensorboard[:<folder>], mlflow:<url>; more than once for more than one",
      collect,
    )
    .option("--name <text>", "what you call the run")
    .option("--tag <text>", "what you find it by; more than once for more than one", collect)
    .option("--dry-run", "say what the run would take, after its first steps; nothing is written")
    .option("--config <file>", "options as JSON, named as in code; what is typed counts more")
    .option("--json", "print one JSON object a line")
    .option("--quiet", "print the report only")
    .action(
      async ({
        json,
        quiet,
        metrics,
        dashboard,
        log,
        tag,
        config,
        dryRun,
        oona = io.env.KASMINA_REDIS,
        ...typed
      }: GrowFlags & Record<string, unknown>) => {
        const options: Record<string, unknown> = { ...typed, ...(tag !== undefined && { tags: tag }) };
        if (dryRun) {
          await showPlan(withData(await withConfigFile(config, options)), json ?? false, io);
          return done(EXIT.done);
        }
        done(
          await runGrow(
            options.resume === undefined
              ? withRunFolder(await withConfigFile(config, options))
              : withoutDefaults(refuseConfigFile(config, options)),
            {
              json: json ?? false,
              quiet: quiet ?? false,
              oona: oona ?? "",
              metrics: metrics ?? "",
              dashboard: dashboard ?? "",
              log: log ?? [],
            },
            io,
            grow,
          ),
        );
      },
    );
}

async function runGrow(
  options: Readonly<Record<string, unknown>>,
  flags: Required<GrowFlags>,
  io: Io,
  grow: Grow,
): Promise<number> {
  const { oona, metrics } = flags;
  if (options.policy === "remote" && oona === "")
    throw new KasminaError(
      "invalid_argument",
      "--policy remote: name the bus with --oona redis://… or KASMINA_REDIS",
    );
  const log = await openLog(flags.log, options, io);
  const view = await createGrowthView(io, flags, async () =>
    (await import("../terminal/growth-bar.js")).barView(io),
  );
  const watched = metrics === "" ? undefined : await watch(metrics, (problem) => view.say(problem));
  if (watched) view.say(`metrics: http://${watched.address}/metrics`);
  const page = await openDashboard(flags.dashboard, options, (text) => say(io, text)).catch(async (error) => {
    // What listens keeps the process alive.
    await watched?.close();
    throw error;
  });
  let end: LogEnd = "failed";
  const stop = stopOnSignals(io, () => view.say("stopping after this step; once more ends at once"));
  try {
    const bus = oona === "" ? {} : { bus: { url: oona } };
    const listeners = listenersFor(view, watched, log);
    const summary = await grow(options, { signal: stop.signal, ...listeners, ...bus });
    end = summary.ended ?? "finished";
    view.end();
    if (!flags.json) {
      io.stdout.write(
        formatReport(summary, String(options.runDir ?? options.resume), wantsColor(io, io.stdout)),
      );
    }
    return summary.ended === "halted" ? EXIT.halted : EXIT.done;
  } catch (error) {
    view.end();
    const exitCode = stop.exitCode();
    if (exitCode === undefined || !(error instanceof KasminaError) || error.code !== "canceled") throw error;
    end = "interrupted";
    say(io, error.message);
    return exitCode;
  } finally {
    await log?.close(end);
    stop.dispose();
    await watched?.close();
    await page?.close();
  }
}

/** Who hears of the run: the terminal, and who was asked for. */
function listenersFor(
  view: GrowthView,
  watched: WatchedRun | undefined,
  log: RunLog | undefined,
): WorkerCallbacks {
  return {
    onLine: (line) => {
      view.show(line);
      watched?.onLine(line);
      if (line.type !== "notice") log?.record(line);
    },
    ...(watched && { onSeries: watched.onSeries }),
    ...(log && { onRecord: (line) => log.record(line) }),
  };
}

/** Loaded when it is asked for. */
async function watch(address: string, onProblem: (problem: string) => void): Promise<WatchedRun> {
  const { watchRun } = await import("../../weatherlight/telemetry/watched-run.node.js");
  return watchRun(address, onProblem);
}

/** Undefined where nothing is to be logged. @throws KasminaError `invalid_argument` for what cannot be logged to */
async function openLog(
  places: readonly string[],
  { runDir, resume }: Readonly<Record<string, unknown>>,
  io: Io,
): Promise<RunLog | undefined> {
  if (places.length === 0) return undefined;
  const { logTarget, RunLog } = await import("../../weatherlight/telemetry/log/run-log.node.js");
  return new RunLog({
    folder: String(runDir ?? resume),
    targets: places.map((place) => logTarget(place, io.env)),
    onProblem: (problem) => say(io, problem),
  });
}

/** Of the folder in which the run's own lies; undefined where none was asked for. */
async function openDashboard(
  where: string | true,
  { runDir, resume }: Readonly<Record<string, unknown>>,
  tell: (text: string) => void,
): Promise<Dashboard | undefined> {
  if (where === "") return undefined;
  const { serveDashboard } = await import("../../weatherlight/dashboard/index.js");
  const folder = dirname(resolve(String(runDir ?? resume)));
  await makeFolder(folder);
  const dashboard = await serveDashboard({ folder, ...parseAddress(where === true ? "127.0.0.1:0" : where) });
  tell(`dashboard: ${dashboard.url}`);
  return dashboard;
}

/**
 * The first signal asks the run to end; the second one does not ask. A terminal that is closed hangs up more than once, and what ends
 * services may do so after SIGTERM: that is no second request.
 */
function stopOnSignals(io: Io, onFirst: () => void) {
  const controller = new AbortController();
  let first: StopSignal | undefined;
  const dispose = io.onSignal((signal) => {
    if (first && signal === "SIGHUP") return;
    if (first) return io.exitNow(EXIT_OF_SIGNAL[signal]);
    first = signal;
    onFirst();
    controller.abort();
  });
  return {
    signal: controller.signal,
    exitCode: (): number | undefined => (first ? EXIT_OF_SIGNAL[first] : undefined),
    dispose,
  };
}

/** Adds the data where they are left out; a run that goes on from another one has its own. */
function withData(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...(options.from === undefined && { data: "spirals" }), ...options };
}

/** Adds what is left out: the data, the run's id, and the folder of that name. */
function withRunFolder(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const time = new Date(systemClock.nowMs()).toISOString().replace(/[-:]|\..*/g, "");
  const runId = `${time}-${randomBytes(3).toString("hex")}`;
  return { runId, runDir: join("runs", runId), ...withData(options) };
}

/** What was typed: `--no-growth` has a default of its own, which a resumed run does not need; its blueprints are named again as a list. */
function withoutDefaults({
  growth,
  blueprint,
  ...options
}: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...(growth === false && { growth }),
    ...(blueprint !== undefined && { blueprints: [blueprint] }),
    ...options,
  };
}

async function showPlan(options: Readonly<Record<string, unknown>>, json: boolean, io: Io): Promise<void> {
  const { planRun } = await import("../../weatherlight/run/plan-run.js");
  const plan = await planRun(options);
  if (json) return void io.stdout.write(`${JSON.stringify(plan)}\n`);
  const { rows, slots } = plan;
  const facts = [
    ["run", `${plan.host} on ${plan.data}, ${plan.task}, ${plan.engine}`],
    [
      "rows",
      `${count(rows.train)} to train on, ${count(rows.held_out)} held out, ${count(rows.test)} to test`,
    ],
    ["steps", `${count(plan.steps)}: ${count(plan.epochs)} epochs, ${count(plan.batch)} rows a step`],
    ["parameters", count(plan.params)],
    ["memory", `weights and optimizer ${megabytes(plan.state_bytes)}, data ${megabytes(plan.data_bytes)}`],
    ["computed", `${formatFlops(plan.flops_per_step)} a step, ${formatFlops(plan.flops_total)} in all`],
    ["time", `about ${formatDuration(plan.seconds)}, ${plan.steps_per_s.toFixed(1)} steps/s`],
    ...slots.map(({ id, shape, blueprints }) => [
      `slot ${printable(id)}`,
      `[${shape.join(", ")}]: ${printable(blueprints.join(", ") || "no blueprint fits")}`,
    ]),
  ];
  const lines = [
    ...formatTable(facts),
    "of the host alone, on this machine; what growth adds nobody knows yet",
  ];
  io.stdout.write(`${lines.join("\n")}\n`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}

function collect(one: string, others: string[] = []): string[] {
  return [...others, one];
}

/** More would be no options. */
const CONFIG_MAX_BYTES = 1024 * 1024;

/**
 * The options of a file, and over them what was typed.
 * @throws KasminaError `invalid_argument` for what is no JSON object; what it holds is checked as all options are
 */
async function withConfigFile(
  file: unknown,
  { growth, ...typed }: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  // `--no-growth` alone is typed: growth is a default of the command line's own.
  const own = { ...typed, ...(growth === false && { growth }) };
  if (typeof file !== "string") return { ...typed, growth };
  const text = new TextDecoder().decode(await readRegular(file, { maxBytes: CONFIG_MAX_BYTES }));
  let options: unknown;
  try {
    options = parseStrictJson(text);
  } catch (error) {
    throw new KasminaError("invalid_argument", `${file} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new KasminaError(
      "invalid_argument",
      `${file} must hold an object of options: {"data": "spirals", …}`,
    );
  if ("resume" in options)
    throw new KasminaError("invalid_argument", `${file}: resume has no place in it; type --resume`);
  return { growth, ...options, ...own };
}

function refuseConfigFile<T>(file: unknown, options: T): T {
  if (file === undefined) return options;
  throw new KasminaError("invalid_argument", "--config: a resumed run keeps its options; leave it out");
}

function toList(text: string): string[] {
  return text.split(",").map((name) => name.trim());
}
