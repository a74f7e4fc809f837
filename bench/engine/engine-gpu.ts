/**
 * `bench -- engine --engine gpu`: the training step on a GPU, on the native engine at all threads, and in PyTorch on the same card
 * (eager and compiled) where it finds one by CUDA, turn by turn: of every host, or with `--sizes` of nets that have use for a GPU. With `--profile` also what each operator took on the device, as ONNX Runtime
 * measures it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { trace } from "kasmina/engine";
import { createGpuBackend, createNativeBackend } from "kasmina/engine/native";
import {
  type Block,
  conv3x3,
  defineBlock,
  defineHost,
  globalAveragePool,
  heNormal,
  linear,
  maxPool2x2,
  relu,
  zeros,
} from "kasmina/nn";
import { OPTIMIZERS } from "kasmina/tolaria";
import { type Figures, median } from "../measurement.js";
import { type BenchNet, benchNets, netOf } from "./engine-nets.js";
import { PyTorch } from "./engine-pytorch.js";
import { SIZES, type Sized, transformer } from "./engine-sizes.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "./turns.js";

/** Steps of which the operators are timed, after as many that are not counted: the first compile shaders. */
const PROFILED_STEPS = 5;
const OPERATORS_SHOWN = 15;
const TEXT_LENGTH = 256;

/** A bottleneck of ResNet-50 (He et al. 2015, arXiv:1512.03385): 1×1, 3×3, 1×1, without batch statistics. */
function bottleneck(name: string, size: readonly number[], from: number, isHalved: boolean): Block {
  const [, , to = 0] = size;
  const width = to / 4;
  return defineBlock({
    name,
    parameters: {
      w1: { shape: [width, from], init: heNormal },
      b1: { shape: [width], init: zeros },
      w2: { shape: [width, 9 * width], init: heNormal },
      b2: { shape: [width], init: zeros },
      w3: { shape: [to, width], init: zeros },
      b3: { shape: [to], init: zeros },
      shortcut: { shape: [to, from], init: heNormal },
      bias: { shape: [to], init: zeros },
    },
    outputShape: size,
    slot: true,
    apply: ({ w1, b1, w2, b2, w3, b3, shortcut, bias }, h) => {
      const x = isHalved ? maxPool2x2(h) : h;
      const straight = linear(x.ref, shortcut, bias);
      const inner = relu(conv3x3(relu(linear(x, w1, b1)), w2, b2));
      return relu(straight.add(linear(inner, w3, b3)));
    },
  });
}

/** As ResNet-50 in depth and width, for images of 64². */
function resnet50(): Sized {
  const inputShape = [64, 64, 3];
  const stem = defineBlock({
    name: "stem",
    parameters: { w: { shape: [64, 27], init: heNormal }, b: { shape: [64], init: zeros } },
    outputShape: [32, 32, 64],
    apply: ({ w, b }, x) => relu(maxPool2x2(conv3x3(x.reshape([-1, ...inputShape]), w, b))),
  });
  const blocks = [3, 4, 6, 3].flatMap((count, stage) => {
    const side = 32 / 2 ** stage;
    const channels = 256 * 2 ** stage;
    return Array.from({ length: count }, (_, i) => {
      const isFirst = i === 0;
      const from = isFirst ? (stage === 0 ? 64 : channels / 2) : channels;
      return bottleneck(`s${stage + 1}b${i + 1}`, [side, side, channels], from, isFirst && stage > 0);
    });
  });
  const head = defineBlock({
    name: "head",
    parameters: { w: { shape: [1000, 2048], init: heNormal }, b: { shape: [1000], init: zeros } },
    outputShape: [1000],
    apply: ({ w, b }, x) => linear(globalAveragePool(x), w, b),
  });
  const host = defineHost({ id: "resnet50", inputShape, classes: 1000, blocks: [stem, ...blocks, head] });
  return { name: "resnet50:64", host, batch: 32 };
}

const LARGER: readonly (() => Sized)[] = [
  ...SIZES,
  () => ({ ...transformer(512, 8, TEXT_LENGTH), name: `charlm:512:8:${TEXT_LENGTH}` }),
  resnet50,
];

interface Setting {
  readonly threads: number;
  readonly rounds: number;
  readonly sizes: boolean;
  /** Only nets whose name begins so. */
  readonly only: string;
  readonly profile: boolean;
}

export async function measureGpu({ threads, rounds, sizes, only, profile }: Setting): Promise<Figures> {
  const figures: Record<string, Figures> = {};
  const larger = (make: () => Sized): BenchNet => {
    const { name, host, batch } = make();
    return { ...netOf(host, batch, [], OPTIMIZERS.adam), name: `${name}:adam` };
  };
  const problem = await PyTorch.problem({ device: "cuda" });
  const modes = problem === undefined ? (["eager", "compiled"] as const) : [];
  const pytorch = await Promise.all(
    modes.map(async (mode) => ({ mode, on: await PyTorch.start(threads, { device: "cuda", mode }) })),
  );
  const nets: readonly (() => BenchNet)[] = sizes
    ? LARGER.map((make) => () => larger(make))
    : benchNets().map((net) => () => net);
  for (const make of nets) {
    const net = make();
    if (!net.name.startsWith(only)) continue;
    const compared = await compare(net, { threads, rounds, pytorch });
    figures[net.name] = profile ? { ...compared, ...(await operatorsOf(net)) } : compared;
  }
  for (const { on } of pytorch) on.close();
  return { threads, pytorch: problem ?? pytorch.map(({ on }) => on.about).join("; "), ...figures };
}

interface Others extends Pick<Setting, "threads" | "rounds"> {
  readonly pytorch: readonly { readonly mode: "eager" | "compiled"; readonly on: PyTorch }[];
}

async function compare(net: BenchNet, { threads, rounds, pytorch }: Others): Promise<Figures> {
  const traced = trace(net.definition);
  const gpu = await createGpuBackend();
  const native = await createNativeBackend({ threads });
  const startMs = performance.now();
  const step = await stepOn(gpu, traced, net);
  const compiledMs = performance.now();
  await step();
  const firstMs = performance.now();
  const turns = { gpu: turnOf(step), native: turnOf(await stepOn(native, traced, net)) };
  const others = Object.fromEntries(pytorch.map(({ mode, on }) => [mode, on.turnAt(net.name)]));
  const times = await takeTurns({ ...turns, ...others }, rounds);
  const inPyTorch = (mode: string): readonly number[] => times[mode as keyof typeof times];
  const { bytes } = gpu.device;
  await gpu.dispose();
  await native.dispose();
  return {
    engine: gpu.description,
    compile_ms: round(compiledMs - startMs),
    first_step_ms: round(firstMs - compiledMs),
    gpu_ms: round(median(times.gpu)),
    native_ms: round(median(times.native)),
    gpu_vs_native: round(ratioOf(times.gpu, times.native)),
    ...Object.fromEntries(
      pytorch.flatMap(({ mode }) => [
        [`pytorch_${mode}_ms`, round(median(inPyTorch(mode)))],
        [`gpu_vs_pytorch_${mode}`, round(ratioOf(times.gpu, inPyTorch(mode)))],
      ]),
    ),
    gpu_gflop_per_s: round(traced.flops / median(times.gpu) / 1e6),
    state_mib: round(bytes / 2 ** 20),
  };
}

/** One event of ONNX Runtime's profile. */
interface ProfileEvent {
  readonly cat: string;
  /** Of what ran on the device: `<node>&<operator>&<shader>`. */
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
}

/** Milliseconds a step on the device, by operator, the longest first; and in how many dispatches. */
async function operatorsOf(net: BenchNet): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-profile-"));
  try {
    const backend = await createGpuBackend({ profile: join(folder, "step") });
    const step = await stepOn(backend, trace(net.definition), net);
    for (let i = 0; i < 2 * PROFILED_STEPS; i++) await step();
    await backend.dispose();
    const events = readdirSync(folder).flatMap((name) => dispatchesIn(join(folder, name)));
    const times = new Map<string, number>();
    for (const { name, dur } of events) {
      const operator = name.split("&")[1] ?? name;
      times.set(operator, (times.get(operator) ?? 0) + dur / 1_000 / PROFILED_STEPS);
    }
    const longest = [...times].sort(([, a], [, b]) => b - a).slice(0, OPERATORS_SHOWN);
    return {
      dispatches_per_step: round(events.length / PROFILED_STEPS),
      operators_ms: Object.fromEntries(longest.map(([operator, ms]) => [operator, round(ms)])),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What ran on the device in the second half of the steps: each step of a program dispatches the same. */
function dispatchesIn(file: string): ProfileEvent[] {
  const events = JSON.parse(readFileSync(file, "utf8")) as ProfileEvent[];
  const dispatches = events.filter(({ cat }) => cat === "Api");
  return dispatches.slice(dispatches.length / 2);
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
