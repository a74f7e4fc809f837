/**
 * `bench -- engine --sizes`: the training step at the sizes that people have, with SGD and with Adam, on the native engine at one
 * thread and at all, and in PyTorch eager likewise; all in one run, turn by turn.
 */
import { trace } from "kasmina/engine";
import { createNativeBackend } from "kasmina/engine/native";
import {
  charlm,
  countHostParameters,
  defineBlock,
  defineHost,
  type Host,
  heNormal,
  linear,
  relu,
  resconv,
  zeros,
} from "kasmina/nn";
import { OPTIMIZERS } from "kasmina/tolaria";
import { type Figures, median } from "../measurement.js";
import { netOf } from "./engine-nets.js";
import type { PyTorch } from "./engine-pytorch.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "./turns.js";

const MLP_BATCH = 64;
const TEXT_BATCH = 8;
const TEXT_LENGTH = 128;
const CONV_BATCH = 64;
const CONV_DEPTH = 4;
const IMAGES = { inputShape: [28, 28, 1], classes: 10 };

/** A host by the name that engine-pytorch.py knows it by, too. */
export interface Sized {
  readonly name: string;
  readonly host: Host;
  readonly batch: number;
}

/** 784-W-W-10. */
function perceptron(width: number): Sized {
  const layer = (name: string, from: number, to: number, isLast: boolean, slot: boolean) =>
    defineBlock({
      name,
      parameters: { w: { shape: [to, from], init: heNormal }, b: { shape: [to], init: zeros } },
      outputShape: [to],
      slot,
      apply: ({ w, b }, h) => {
        const z = linear(h.reshape([-1, from]), w, b);
        return isLast ? z : relu(z);
      },
    });
  const blocks = [
    layer("first", 784, width, false, true),
    layer("second", width, width, false, true),
    layer("head", width, 10, true, false),
  ];
  return { name: `mlp:${width}`, host: defineHost({ id: "mlp", ...IMAGES, blocks }), batch: MLP_BATCH };
}

export function transformer(d: number, layers: number, length = TEXT_LENGTH): Sized {
  const host = charlm({ inputShape: [length], classes: 65, d, layers });
  return { name: `charlm:${d}:${layers}`, host, batch: TEXT_BATCH };
}

function convolutions(channels: number): Sized {
  const host = resconv({ ...IMAGES, channels, depth: CONV_DEPTH });
  return { name: `resconv:${channels}:${CONV_DEPTH}`, host, batch: CONV_BATCH };
}

export const SIZES: readonly (() => Sized)[] = [
  () => perceptron(512),
  () => perceptron(2048),
  () => perceptron(4096),
  () => transformer(128, 4),
  () => transformer(256, 6),
  () => transformer(512, 8),
  () => convolutions(16),
  () => convolutions(32),
  () => convolutions(64),
];

interface Setting {
  readonly threads: number;
  readonly rounds: number;
  /** One for each number of threads; none where PyTorch is missing. */
  readonly pytorch: readonly PyTorch[];
  /** Only nets whose name begins so. */
  readonly only: string;
}

export async function measureSizes({ threads, rounds, pytorch, only }: Setting): Promise<Figures> {
  const figures: Record<string, Figures> = {};
  for (const make of SIZES) {
    const sized = make();
    if (!sized.name.startsWith(only)) continue;
    for (const optimizer of ["sgd", "adam"] as const) {
      figures[`${sized.name} ${optimizer}`] = await compare(sized, optimizer, { threads, rounds, pytorch });
    }
  }
  return figures;
}

async function compare(
  { name, host, batch }: Sized,
  optimizer: "sgd" | "adam",
  { threads, rounds, pytorch }: Omit<Setting, "only">,
): Promise<Figures> {
  const net = netOf(host, batch, [], OPTIMIZERS[optimizer]);
  const traced = trace(net.definition);
  const counts = [...new Set([1, threads])];
  const backends = await Promise.all(counts.map((count) => createNativeBackend({ threads: count })));
  const native = await Promise.all(
    backends.map(async (backend, i) => {
      return [`native ${counts[i]}`, turnOf(await stepOn(backend, traced, net))] as const;
    }),
  );
  const others = pytorch.map(
    (one, i) => [`pytorch ${counts[i]}`, one.turnAt(`${name}:${optimizer}`)] as const,
  );
  const times = await takeTurns(Object.fromEntries([...native, ...others]), rounds);
  for (const backend of backends) await backend.dispose();
  const best = (engine: string): readonly number[] =>
    Object.entries(times)
      .filter(([turn]) => turn.startsWith(engine))
      .map(([, ms]) => ms)
      .sort((a, b) => median(a) - median(b))[0] ?? [];
  const ms = Object.entries(times).map(([turn, all]) => [`${turn} ms`, round(median(all))] as const);
  return {
    parameters: countHostParameters(host),
    ...Object.fromEntries(ms),
    ...(pytorch.length > 0 && {
      ratio: round(ratioOf(times[`native ${threads}`] ?? [], best("pytorch"))),
      best_ratio: round(ratioOf(best("native"), best("pytorch"))),
    }),
    gflop_per_s: round(traced.flops / median(best("native")) / 1e6),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
