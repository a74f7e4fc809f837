/** The process of a soak that trains: a run with faults at its ports. Started by `main.ts`, and killed by it. */
import { writeSync } from "node:fs";
import { Random } from "kasmina/base";
import type { Dataset } from "kasmina/contracts";
import type { BatchOptions } from "kasmina/data";
import { type Backend, openBackend, type State, wrapBackend, wrapProgram } from "kasmina/engine";
import { parseConfig } from "kasmina/kasmina";
import { BlueprintRegistry, builtinBlueprints } from "kasmina/nn";
import { type GrowOptions, grow, KernelService, lineCallbacks, summaryLine } from "kasmina/weatherlight";
import { Driver } from "./driver.js";
import { batchesWithNaN, FaultyKernels, spoilingBackend, turnsNaN } from "./faults.js";
import { FaultyBus } from "./faulty-bus.js";
import type { AnyLine, SoakStart } from "./lines.js";
import { BATCH, RUN_ID, stepsPerEpoch } from "./measures.js";
import { makePlan } from "./plan.js";
import { SoakPolicy } from "./policy.js";

const start = JSON.parse(process.argv[2] ?? "{}") as SoakStart;
const { runDir, epochs, seed, engine, flood, resume } = start;
const plan = makePlan({ seed, epochs, stepsPerEpoch });
const blueprints = new BlueprintRegistry([
  ...builtinBlueprints.ids.map((id) => builtinBlueprints.get(id)),
  turnsNaN,
]);
const policy = new SoakPolicy();
/** Where the process that watches this one reads; what a run prints for its audience goes to the standard output. */
const WATCHER = 3;
const print = (line: AnyLine): void => void writeSync(WATCHER, `${JSON.stringify(line)}\n`);
// As `kasmina grow` has it: nobody's training ends because nobody reads.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
const commandBus = new FaultyBus(Random.forLabel(seed, "command bus"));
const kernelBus = new FaultyBus(Random.forLabel(seed, "kernel bus"));
const driver = new Driver({
  plan,
  bus: commandBus,
  runId: RUN_ID,
  runDir,
  flood,
  seeds: () => policy.seeds,
  print,
});

/**
 * Embargoes and breakers end within a soak, gates let every seed pass, and isolation is looked at five times as often.
 * Topologies are traced on the training thread here, which keeps a kernel waiting: its deadline is longer for that.
 */
const config = parseConfig({
  leadSteps: 5,
  embargoMs: 500,
  kernel: { latencyBudgetMs: 1_000, prefetchDeadlineMs: 3_000 },
  breakers: { fetch: { failures: 3, windowMs: 2_000, cooldownMs: 500 } },
  gates: { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 1e6 },
  isolation: { everySteps: 10 },
});

/** What the engine holds, counted from outside. */
const held = { programs: 0, step: 0, state: undefined as State | undefined };

function watched(backend: Backend): Backend {
  return wrapBackend(backend, {
    program(program) {
      held.programs++;
      return wrapProgram(
        program,
        (...args) => program.run(...args),
        () => held.programs--,
      );
    },
    state(state) {
      held.state ??= state;
      return state;
    },
  });
}

/** A parameter of the host, or of a seed that is in the network or beside it. */
function spoiltPath(step: number): string | undefined {
  if (!plan.isSpoilt(step)) return undefined;
  const paths = (held.state?.paths ?? []).filter((path) => /^(host|seed)\//.test(path)).sort();
  return paths[Math.floor(plan.drawAt(step, "path") * paths.length)];
}

const sound = batchesWithNaN((step) => plan.isBadBatch(step));

const { backend: bare } = await openBackend(engine, { threads: 1 });
const engineBackend = watched(bare);
const spoilt = spoilingBackend(engineBackend, () => {
  const path = spoiltPath(held.step);
  if (path !== undefined) print({ type: "fault", kind: "nan_memory", step: held.step });
  return path === undefined ? undefined : { path };
});

const kernelEngine = await openBackend("wasm");
const service = await KernelService.open({
  trainingRunId: RUN_ID,
  seed,
  backend: kernelEngine.backend,
  batch: BATCH,
  config,
  blueprints,
  bus: kernelBus,
});
const kernels = new FaultyKernels(service, config.kernel.prefetchDeadlineMs, ({ requestId }) => {
  const fault = plan.kernelFault(requestId);
  if (fault !== "none")
    print({ type: "fault", kind: fault === "fails" ? "kernel_fails" : "kernel_late", step: held.step });
  return fault;
});

const parts: GrowOptions = {
  policy,
  engine: spoilt,
  blueprints: blueprints.all,
  kernels,
  batches: (dataset: Dataset, options: BatchOptions) => {
    const source = sound(dataset, options);
    return {
      batch: source.batch,
      stepsPerEpoch: source.stepsPerEpoch,
      at: (step) => {
        held.step = step;
        driver.at(step);
        if (plan.isBadBatch(step)) print({ type: "fault", kind: "nan_batch", step });
        return source.at(step);
      },
    };
  },
  commands: await driver.open(),
};

function reportHeld(epoch: number): void {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const paths = held.state?.paths ?? [];
  print({
    type: "held",
    epoch,
    rss_bytes: rss,
    heap_bytes: heapUsed,
    programs: held.programs,
    compiled: engineBackend.stats.compiled,
    state_paths: paths.length,
    optimizer_entries: paths.filter((path) => path.startsWith("optimizer/")).length,
    redelivered: commandBus.lost + kernelBus.lost,
  });
}

const asked = { data: "spirals", batch: BATCH, epochs, seed, runDir, runId: RUN_ID, limits: config };
await grow({
  ...(resume ? { resume: runDir } : asked),
  ...parts,
  ...lineCallbacks((line) => {
    print(line);
    process.stdout.write(`${JSON.stringify(line)}\n`);
    if (line.type === "epoch") reportHeld(line.epoch);
  }),
}).then((result) => print(summaryLine(result)));
await kernels.close();
await kernelEngine.backend.dispose();
await bare.dispose();
await driver.commands?.close();
await commandBus.close();
