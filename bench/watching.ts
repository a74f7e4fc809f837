/**
 * What it costs a run to be watched: one run of MNIST that grows, as the command line does it. In every other stretch of 2 s `/metrics` is scraped once
 * and a page of the dashboard follows the run, drawn when the stretch begins and as often after as a page is. Neighbouring stretches are compared,
 * neither kind always the first: so what else the machine does, and what the run has become by then, hits both.
 *
 * Arguments: --epochs 240
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { KasminaError, percentile, Random } from "kasmina/base";
import { growInWorker, serveDashboard, watchRun } from "kasmina/weatherlight";
import { type Figures, type Measurement, median } from "./measurement.js";
import type { Stretch, Watched } from "./watching-runner.js";

const RUNNER = new URL("./watching-runner.js", import.meta.url).href;
const VISITOR = new URL("./watching-visitor.js", import.meta.url);
/** Of these the process is still warming up. */
const WARM_UP_STRETCHES = 4;
const RESAMPLES = 2_000;

export const watching: Measurement = {
  name: "watching",
  summary: "what metrics and dashboard together cost the step of a run",
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: { epochs: { type: "string", default: "240" } },
    });
    const epochs = Number(values.epochs);
    if (!Number.isInteger(epochs) || epochs < 12)
      throw new KasminaError("invalid_argument", "--epochs must be a whole number of at least 12");
    setFlagsFromString("--no-parallel-scavenge"); // as the command line runs
    const folder = await mkdtemp(join(tmpdir(), "kasmina-bench-"));
    try {
      return figuresOf(await watch(folder, epochs));
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

async function watch(folder: string, epochs: number): Promise<Watched> {
  let result: Watched | undefined;
  /** The number of the stretch that is watched; 0 while none is. */
  const watched = new Int32Array(new SharedArrayBuffer(4));
  const metrics = await watchRun("127.0.0.1:0", (problem) => console.error(problem));
  const dashboard = await serveDashboard({ folder, host: "127.0.0.1", port: 0 });
  const run = `http://${dashboard.address}/runs/run`;
  const workerData = { watched, metrics: `http://${metrics.address}/metrics`, run };
  const visitor = new Worker(VISITOR, { workerData });
  const options = {
    data: "mnist",
    epochs,
    batch: 64,
    engine: "native",
    threads: 1,
    policy: "epoch:2",
    runDir: join(folder, "run"),
    watched,
  };
  const onLine = (line: Parameters<typeof metrics.onLine>[0]): void => {
    metrics.onLine(line);
    if (line.type === "notice" && line.text.startsWith("{")) result = JSON.parse(line.text) as Watched;
  };
  await growInWorker(options, { onSeries: metrics.onSeries, onLine }, RUNNER);
  await visitor.terminate();
  await dashboard.close();
  await metrics.close();
  if (!result) throw new KasminaError("illegal_state", "the run reported no step times");
  return result;
}

interface Pair {
  readonly watched: Stretch;
  readonly alone: Stretch;
}

function figuresOf({ stretches, packetsUs }: Watched): Figures {
  const pairs: Pair[] = [];
  for (let i = WARM_UP_STRETCHES; i + 1 < stretches.length; i += 2) {
    const [a, b] = stretches.slice(i, i + 2) as [Stretch, Stretch];
    pairs.push(a.watched ? { watched: a, alone: b } : { watched: b, alone: a });
  }
  const ratio = (of: (stretch: Stretch) => number): string =>
    withInterval(pairs.map(({ watched, alone }) => of(watched) / of(alone)));
  return {
    pairs: pairs.length,
    steps: stretches.reduce((sum, { steps }) => sum + steps, 0),
    median_step_ratio: ratio(({ medianMs }) => medianMs),
    mean_step_ratio: ratio(({ meanMs }) => meanMs),
    trainer_cpu_ratio: ratio(({ cpuMs }) => cpuMs),
    main_thread_cpu_ms_a_s: withInterval(
      pairs.map(({ watched, alone }) => watched.mainCpuMsPerS - alone.mainCpuMsPerS),
    ),
    packets_us_a_step: Number(packetsUs.toPrecision(3)),
    step_ms: withInterval(pairs.map(({ alone }) => alone.medianMs)),
  };
}

/** The median of the pairs, its 95 % interval by resampling them, and the lowest and the highest. */
function withInterval(values: readonly number[]): string {
  const random = new Random(0);
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(values.map(() => values[Math.floor(random.uniform() * values.length)] ?? Number.NaN)),
  );
  const shown = (value: number): string => value.toPrecision(4);
  const interval = `${shown(percentile(medians, 0.025))} to ${shown(percentile(medians, 0.975))}`;
  return `${shown(median(values))}, ${interval} (${shown(Math.min(...values))}–${shown(Math.max(...values))})`;
}
