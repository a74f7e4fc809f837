/** Training steps on all weights of models that PyTorch exports, against its own eager steps of the same models. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { trace } from "kasmina/engine";
import { createNativeBackend } from "kasmina/engine/native";
import { onnxHost } from "kasmina/nn";
import { OPTIMIZERS } from "kasmina/tolaria";
import { netOf } from "../engine/engine-nets.js";
import { PyTorch } from "../engine/engine-pytorch.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "../engine/turns.js";
import { type Figures, median } from "../measurement.js";
import type { ImportSetting } from "./import-prefix.js";

const SCRIPT = new URL("../../../bench/import/import-pytorch.py", import.meta.url).pathname;

/** As `import-pytorch.py` exports them; batch and examples are its own too. */
const MODELS = {
  "mlp-bn": { batch: 64, inputShape: [784] },
  gru: { batch: 32, inputShape: [20, 32] },
  resnet18: { batch: 32, inputShape: [32, 32, 3] },
  mobilenetv3: { batch: 32, inputShape: [32, 32, 3] },
  vit: { batch: 32, inputShape: [32, 32, 3] },
  bert: { batch: 16, inputShape: [64], inputDType: "int32" },
} as const;
const CLASSES = 4;

export async function measurePyTorch({ threads, rounds }: ImportSetting): Promise<Figures> {
  const problem = await PyTorch.problem();
  if (problem !== undefined) return { pytorch: problem };
  const folder = await mkdtemp(join(tmpdir(), "kasmina-bench-"));
  const pytorch = await PyTorch.running(SCRIPT, String(threads), folder);
  try {
    const figures: Record<string, Figures> = {};
    for (const name of Object.keys(MODELS) as (keyof typeof MODELS)[])
      figures[name] = await compare(name, { folder, pytorch, threads, rounds });
    return { pytorch: pytorch.about, ...figures };
  } finally {
    pytorch.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Comparison extends ImportSetting {
  readonly folder: string;
  readonly pytorch: PyTorch;
}

async function compare(
  name: keyof typeof MODELS,
  { folder, pytorch, threads, rounds }: Comparison,
): Promise<Figures> {
  const { batch, ...task } = MODELS[name];
  const bytes = new Uint8Array(await readFile(join(folder, `${name}.onnx`)));
  const host = onnxHost(bytes, { ...task, classes: CLASSES }, { head: "keep", train: "all" });
  const net = netOf(host, batch, [], OPTIMIZERS.sgd);
  const backend = await createNativeBackend({ threads });
  const ours = turnOf(await stepOn(backend, trace(net.definition), net));
  const times = await takeTurns({ ours, pytorch: pytorch.turnAt(name) }, rounds);
  await backend.dispose();
  const ms = (all: readonly number[]): number => Number(median(all).toPrecision(3));
  return {
    ours_ms: ms(times.ours),
    pytorch_ms: ms(times.pytorch),
    ratio: Number(ratioOf(times.ours, times.pytorch).toPrecision(3)),
  };
}
