/** What it takes to import a large model, and to trace and lower the training step of one of many nodes while another model trains. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { sha256Hex } from "kasmina/base";
import { ImportedModel, trace } from "kasmina/engine";
import { createNativeBackend, lowerProgram } from "kasmina/engine/native";
import { monitoredRows, type Topology } from "kasmina/network";
import { createHost, onnxHost } from "kasmina/nn";
import { OPTIMIZERS, trainStepProgram } from "kasmina/tolaria";
import { ProcessTracer } from "kasmina/weatherlight";
import { netOf } from "../engine/engine-nets.js";
import { stepOn } from "../engine/turns.js";
import { type Figures, median } from "../measurement.js";
import type { ImportSetting } from "./import-prefix.js";
import { TEXT } from "./import-texts.js";

const RUNNER = new URL("./import-size-runner.js", import.meta.url).pathname;
const NN_NODE = new URL("../../../dist/nn/index.node.js", import.meta.url).href;
/** 100 MB of weights. */
const LARGE = "charlm:width=512,blocks=8";
/** Some 2,000 nodes. */
const MANY = "charlm:width=32,blocks=28,heads=4";
const IMPORTS = 3;
const MB = 1e6;

async function withModel<T>(host: string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "kasmina-bench-"));
  try {
    const file = join(folder, "model.onnx");
    await inProcess("make", file, host);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function inProcess(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [RUNNER, ...args])).stdout;
}

export function measureSize(): Promise<Figures> {
  return withModel(LARGE, async (file) => {
    const imports: { ms: number; memory: number; bytes: number }[] = [];
    while (imports.length < IMPORTS) imports.push(JSON.parse(await inProcess("import", file)));
    const memory = median(imports.map((one) => one.memory));
    const bytes = imports[0]?.bytes ?? 0;
    return {
      file_mb: Math.round(bytes / MB),
      seconds: Number((median(imports.map(({ ms }) => ms)) / 1_000).toPrecision(3)),
      memory_mb: Math.round(memory / MB),
      times_its_size: Number((memory / bytes).toPrecision(3)),
    };
  });
}

/** Alone on this thread, and by the tracing process of a run whose steps go on meanwhile. */
export function measureNodes({ threads }: ImportSetting): Promise<Figures> {
  return withModel(MANY, async (file) => {
    const bytes = new Uint8Array(await readFile(file));
    const { inputShape, inputDType, classes } = TEXT.data;
    const task = { inputShape, inputDType, classes };
    const options = { train: "all" } as const;
    const host = onnxHost(bytes, task, options);
    const topology: Topology = { host, sites: [], hostGradient: "detach", loss: { task: "next-token" } };
    const startMs = performance.now();
    const traced = trace(trainStepProgram(topology, OPTIMIZERS.adam, TEXT.batch));
    const tracedMs = performance.now();
    lowerProgram("step", traced);
    const loweredMs = performance.now();
    const args = [file, options, sha256Hex(bytes), task];
    const beside = await besideTraining(threads, topology, args);
    const s = (ms: number): number => Number((ms / 1_000).toPrecision(3));
    return {
      nodes: new ImportedModel(bytes).model.nodes.length,
      equations: traced.ir.equations.length,
      trace_s: s(tracedMs - startMs),
      lower_s: s(loweredMs - tracedMs),
      ...beside,
    };
  });
}

async function besideTraining(
  threads: number,
  topology: Topology,
  args: readonly unknown[],
): Promise<Figures> {
  const backend = await createNativeBackend({ threads });
  const net = netOf(createHost("resconv", { inputShape: [28, 28, 1], classes: 10 }), 64);
  const step = await stepOn(backend, trace(net.definition), net);
  const tracer = new ProcessTracer({ host: { module: NN_NODE, name: "openOnnxHost", args } });
  const { batch } = TEXT;
  const startMs = performance.now();
  let endMs = 0;
  const tracing = tracer.trace(topology, {
    ...{ optimizer: OPTIMIZERS.adam, trainBatch: batch, evaluationBatch: batch },
    monitor: { batch, rows: monitoredRows(batch), coordinates: 4_096 },
  });
  void tracing.then(() => {
    endMs = performance.now();
  });
  let steps = 0;
  while (endMs === 0) {
    await step();
    steps++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await tracing;
  await tracer.close();
  await backend.dispose();
  // Training step and evaluation, from the start of the process on.
  return { beside_training_s: Number(((endMs - startMs) / 1_000).toPrecision(3)), steps_meanwhile: steps };
}
