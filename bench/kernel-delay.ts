/**
 * What slow kernels cost a run. The same run, with one germination, is trained with kernels that take no extra time and
 * with kernels that take 500 ms each: once with a lead that covers them, once with the default lead, which does not. Runs
 * of the two kinds alternate. The rate is of the median step, which other work on the machine disturbs little, over the
 * whole run of two epochs, of which the second one germinates; what the steps waited for a kernel is reported next to it.
 */
import { openDataset } from "kasmina/data";
import { type Backend, openBackend } from "kasmina/engine";
import { parseConfig } from "kasmina/kasmina";
import { createHost } from "kasmina/nn";
import { PlateauPolicy } from "kasmina/tamiyo";
import { type GrowResult, grow, ThreadKernels } from "kasmina/weatherlight";
import { type Figures, type Measurement, median } from "./measurement.js";

const DELAY_MS = 500;
const ROUNDS = 7;
const EPOCHS = 2;
const BATCH = 128;
const COVERING_LEAD = 200;
const DEFAULT_LEAD = 20;

export const kernelDelay: Measurement = {
  name: "kernel-delay",
  summary:
    "what kernels that take 500 ms cost a run's rate of steps, with a lead that covers them and one that does not",
  async run() {
    const { backend } = await openBackend("auto");
    try {
      return await measure(backend);
    } finally {
      await backend.dispose();
    }
  },
};

async function measure(backend: Backend): Promise<Figures> {
  await train(backend, 0, COVERING_LEAD); // warms up
  const ratios: number[] = [];
  const rates: number[] = [];
  const cpuRatios: number[] = [];
  let covered: Trained | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    // Each comes first in turn: what the machine does beside them drifts.
    const slowFirst = round % 2 === 1 ? await train(backend, DELAY_MS, COVERING_LEAD) : undefined;
    const quick = await train(backend, 0, COVERING_LEAD);
    covered = slowFirst ?? (await train(backend, DELAY_MS, COVERING_LEAD));
    ratios.push(covered.stepsPerSecond / quick.stepsPerSecond);
    rates.push(quick.stepsPerSecond);
    cpuRatios.push(covered.cpuSeconds / quick.cpuSeconds);
  }
  const quick = await train(backend, 0, DEFAULT_LEAD);
  const waited = await train(backend, DELAY_MS, DEFAULT_LEAD);
  return {
    engine: backend.name,
    steps_per_s: Number(median(rates).toFixed(1)),
    covered_rate_ratio: Number(median(ratios).toFixed(4)),
    covered_rate_ratios: ratios.map((ratio) => ratio.toFixed(3)).join(" "),
    covered_cpu_ratio: Number(median(cpuRatios).toFixed(4)),
    covered_stall_ms: covered?.stallMs ?? null,
    uncovered_stall_ms: Number(waited.stallMs.toFixed(1)),
    uncovered_identical: identical(quick.result, waited.result),
  };
}

interface Trained {
  readonly result: GrowResult;
  readonly stepsPerSecond: number;
  /** Of the whole process during the run: what other programs take from the machine is not in it. */
  readonly cpuSeconds: number;
  readonly stallMs: number;
}

async function train(backend: Backend, delayMs: number, leadSteps: number): Promise<Trained> {
  const dataset = await openDataset("mnist");
  const config = parseConfig({ leadSteps, kernel: { prefetchDeadlineMs: 10_000 } });
  const shared = { trainingRunId: "bench", seed: 1, batch: BATCH, config };
  const kernels = await ThreadKernels.open({ ...shared, engine: backend.name, holdMs: delayMs });
  let stallMs = 0;
  let lastMs = performance.now();
  const cpuAtStart = process.cpuUsage();
  const stepMs: number[] = [];
  try {
    const result = await grow({
      runId: "bench",
      host: createHost("resmlp", dataset),
      data: dataset,
      engine: backend,
      epochs: EPOCHS,
      batch: BATCH,
      seed: 1,
      limits: config,
      kernels,
      policy: new PlateauPolicy({
        blueprints: [{ id: "mlp-residual", parameters: {} }],
        germinateAtEpoch: 1,
      }),
      reportEverySteps: 1,
      onStep: () => {
        const nowMs = performance.now();
        stepMs.push(nowMs - lastMs);
        lastMs = nowMs;
      },
      onPacket: ({ metrics }) => {
        for (const { name, value } of metrics) if (name === "kasmina.graft.stall_ms") stallMs += value;
      },
    });
    const { user, system } = process.cpuUsage(cpuAtStart);
    return {
      result,
      stepsPerSecond: 1000 / median(stepMs),
      cpuSeconds: (user + system) / 1e6,
      stallMs,
    };
  } finally {
    await kernels.close();
  }
}

/** Whether every parameter is the same bits. */
function identical(a: GrowResult, b: GrowResult): boolean {
  const [left, right] = [a.network.parameters, b.network.parameters];
  const bits = (data: ArrayBufferView): string =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1");
  return (
    Object.keys(left).join() === Object.keys(right).join() &&
    Object.entries(left).every(
      ([path, { data }]) => bits(data) === bits(right[path]?.data ?? data.subarray(0, 0)),
    )
  );
}
