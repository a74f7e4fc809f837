/**
 * The native engine against the WebAssembly one, against ONNX Runtime running the same model in a bare loop, and
 * against PyTorch where it is importable: the training step of every host, batch and threads alike, in one run, turn
 * by turn. Before them runs that grow: the longest gap between two steps, and the longest that the main thread was away.
 *
 * Arguments: --threads 2 --rounds 9
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KasminaError } from "kasmina/base";
import { createWasmBackend, trace } from "kasmina/engine";
import { createNativeBackend, lowerProgram } from "kasmina/engine/native";
import { measureGrowth } from "./engine-growth.js";
import { type BenchNet, benchNets } from "./engine-nets.js";
import { plainLoop } from "./engine-plain.js";
import { measurePyTorch } from "./engine-pytorch.js";
import { type Figures, type Measurement, median } from "./measurement.js";
import { stepOn, takeTurns } from "./turns.js";

export const engine: Measurement = {
  name: "engine",
  summary: "step times of the engines, compile times, stalls while a run grows",
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        threads: { type: "string", default: String(availableParallelism()) },
        rounds: { type: "string", default: "9" },
      },
    });
    const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
    if (!(Number.isInteger(threads) && threads > 0 && Number.isInteger(rounds) && rounds > 0)) {
      throw new KasminaError("invalid_argument", "--threads and --rounds must be whole numbers above 0");
    }
    const growth = await measureGrowth(threads);
    const nets: Record<string, Comparison> = {};
    for (const net of benchNets()) nets[net.name] = await compare(net, threads, rounds);
    const pytorch = await measurePyTorch(threads);
    const ratios = (pick: (net: Comparison) => number): Figures =>
      Object.fromEntries(Object.entries(nets).map(([name, net]) => [name, round(pick(net))]));
    return {
      threads,
      native_vs_wasm: ratios((net) => net.native.median / net.wasm.median),
      native_vs_ort: ratios((net) => net.ratioToPlain),
      native_vs_pytorch:
        typeof pytorch === "string"
          ? pytorch
          : ratios((net) => net.native.median / (pytorch[net.name] ?? Number.NaN)),
      ...growth,
      step_ms: Object.fromEntries(Object.entries(nets).map(([name, net]) => [name, stepTimes(net)])),
      compile_ms: Object.fromEntries(Object.entries(nets).map(([name, net]) => [name, net.compile])),
    };
  },
};

interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

interface Comparison {
  readonly name: string;
  readonly native: Spread;
  readonly wasm: Spread;
  readonly plain: Spread;
  /** Median over the rounds of native over plain, both of the same round. */
  readonly ratioToPlain: number;
  readonly compile: Figures;
}

async function compare(net: BenchNet, threads: number, rounds: number): Promise<Comparison> {
  const startMs = performance.now();
  const traced = trace(net.definition);
  const tracedMs = performance.now();
  const lowered = lowerProgram(net.name, traced);
  const loweredMs = performance.now();
  const native = await createNativeBackend({ threads });
  const wasm = await createWasmBackend();
  const nativeStep = await stepOn(native, { ...traced, lowered }, net);
  const compiledMs = performance.now();
  const turns = {
    native: nativeStep,
    plain: await plainLoop(traced, lowered, net, threads),
    wasm: await stepOn(wasm, traced, net),
  };
  const times = await takeTurns(turns, rounds);
  await native.dispose();
  await wasm.dispose();
  const ratios = times.native.map((one, i) => one / (times.plain[i] ?? Number.NaN));
  return {
    name: net.name,
    native: spreadOf(times.native),
    wasm: spreadOf(times.wasm),
    plain: spreadOf(times.plain),
    ratioToPlain: median(ratios),
    compile: {
      trace: round(tracedMs - startMs),
      lower: round(loweredMs - tracedMs),
      create: round(compiledMs - loweredMs),
    },
  };
}

function spreadOf(times: readonly number[]): Spread {
  return { median: median(times), low: Math.min(...times), high: Math.max(...times) };
}

function stepTimes({ native, plain, wasm }: Comparison): Figures {
  const show = ({ median: middle, low, high }: Spread) => `${round(middle)} (${round(low)}–${round(high)})`;
  return { native: show(native), plain_ort: show(plain), wasm: show(wasm) };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
