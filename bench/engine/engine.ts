/**
 * The native engine against the WebAssembly one, against ONNX Runtime running the same model in a bare loop (as the
 * engine sets it up, and with all of its graph optimizations), and against PyTorch where it is importable: the training
 * step of every host, batch and threads alike, in one run, turn by turn. Before them runs that grow: the longest gap
 * between two steps, and the longest that the main thread was away.
 *
 * Arguments: --threads 2 --rounds 15; --sizes instead: larger nets against PyTorch, --only mlp those of one kind; --engine gpu
 * instead: a GPU against the native engine, with --sizes the larger nets, with --profile the time of each operator
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KasminaError } from "kasmina/base";
import { createWasmBackend, trace } from "kasmina/engine";
import { createNativeBackend, lowerProgram } from "kasmina/engine/native";
import { type Figures, type Measurement, median } from "../measurement.js";
import { measureGpu } from "./engine-gpu.js";
import { measureGrowth } from "./engine-growth.js";
import { type BenchNet, benchNets } from "./engine-nets.js";
import { plainLoop } from "./engine-plain.js";
import { PyTorch } from "./engine-pytorch.js";
import { measureSizes } from "./engine-sizes.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "./turns.js";

export const engine: Measurement = {
  name: "engine",
  summary: "step times of the engines, compile times, stalls while a run grows",
  async run(args) {
    const { threads, rounds, ...values } = parsed(args);
    if (values.engine === "gpu") return measureGpu({ threads, rounds, ...values });
    const growth = values.sizes ? {} : await measureGrowth(threads);
    const problem = await PyTorch.problem();
    // More threads than cores that are free can cost PyTorch a factor of ten: it is taken at the better of two counts.
    const counts = problem === undefined ? [...new Set([1, threads])] : [];
    const pytorch = await Promise.all(counts.map((count) => PyTorch.start(count)));
    if (values.sizes) {
      const sizes = await measureSizes({ threads, rounds, pytorch, only: values.only });
      for (const one of pytorch) one.close();
      return { threads, pytorch: problem ?? pytorch[0]?.about ?? null, ...sizes };
    }
    const nets: Record<string, Comparison> = {};
    for (const net of benchNets()) nets[net.name] = await compare(net, { threads, rounds, pytorch });
    for (const one of pytorch) one.close();
    const against = (pick: (net: Comparison) => readonly number[]): Figures =>
      Object.fromEntries(
        Object.entries(nets).map(([name, net]) => [name, round(ratioOf(net.native, pick(net)))]),
      );
    return {
      threads,
      native_vs_wasm: against((net) => net.wasm),
      native_vs_ort: against((net) => net.plain),
      native_vs_ort_optimized: against((net) => net.optimized),
      native_vs_pytorch: problem ?? against((net) => net.pytorch ?? []),
      pytorch: pytorch[0]?.about ?? null,
      ...growth,
      step_ms: Object.fromEntries(Object.entries(nets).map(([name, net]) => [name, stepTimes(net)])),
      compile_ms: Object.fromEntries(Object.entries(nets).map(([name, net]) => [name, net.compile])),
    };
  },
};

function parsed(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: "string", default: String(availableParallelism()) },
      rounds: { type: "string" },
      sizes: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      engine: { type: "string", default: "native" },
      profile: { type: "boolean", default: false },
    },
  });
  const [threads, rounds] = [Number(values.threads), Number(values.rounds ?? (values.sizes ? 5 : 15))];
  if (!(Number.isInteger(threads) && threads > 0 && Number.isInteger(rounds) && rounds > 0))
    throw new KasminaError("invalid_argument", "--threads and --rounds must be whole numbers above 0");
  const { engine: name, profile } = values;
  if (name !== "gpu" && (name !== "native" || profile))
    throw new KasminaError("invalid_argument", "--engine must be native or gpu, --profile is for gpu");
  return { ...values, threads, rounds };
}

/** Median steps of each round, in milliseconds. */
interface Comparison {
  readonly native: readonly number[];
  readonly wasm: readonly number[];
  readonly plain: readonly number[];
  readonly optimized: readonly number[];
  readonly pytorch: readonly number[] | undefined;
  readonly compile: Figures;
}

interface Setting {
  readonly threads: number;
  readonly rounds: number;
  readonly pytorch: readonly PyTorch[];
}

async function compare(net: BenchNet, { threads, rounds, pytorch }: Setting): Promise<Comparison> {
  const startMs = performance.now();
  const traced = trace(net.definition);
  const tracedMs = performance.now();
  const lowered = lowerProgram(net.name, traced);
  const loweredMs = performance.now();
  const native = await createNativeBackend({ threads });
  const wasm = await createWasmBackend();
  const nativeStep = await stepOn(native, { ...traced, lowered }, net);
  const compiledMs = performance.now();
  const engines = {
    native: turnOf(nativeStep),
    plain: turnOf(await plainLoop(traced, lowered, net, { threads, optimized: false })),
    optimized: turnOf(await plainLoop(traced, lowered, net, { threads, optimized: true })),
    wasm: turnOf(await stepOn(wasm, traced, net)),
  };
  const others = Object.fromEntries(pytorch.map((one, i) => [`pytorch ${i}`, one.turnAt(net.name)]));
  const times = await takeTurns({ ...engines, ...others }, rounds);
  await native.dispose();
  await wasm.dispose();
  const pytorchTimes = Object.keys(others).map((name) => times[name as keyof typeof times]);
  return {
    ...times,
    pytorch: pytorchTimes.sort((a, b) => median(a) - median(b))[0],
    compile: {
      trace: round(tracedMs - startMs),
      lower: round(loweredMs - tracedMs),
      create: round(compiledMs - loweredMs),
    },
  };
}

function stepTimes({ native, plain, optimized, wasm, pytorch }: Comparison): Figures {
  const show = (times: readonly number[]) =>
    `${round(median(times))} (${round(Math.min(...times))}–${round(Math.max(...times))})`;
  return {
    native: show(native),
    plain_ort: show(plain),
    optimized_ort: show(optimized),
    wasm: show(wasm),
    ...(pytorch && { pytorch: show(pytorch) }),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
