/** Hosts from files with seeds in them, their tensors, and examples for them. */
import { Tensor as OrtTensor } from "onnxruntime-node";
import { float32, int32, sizeOf, type Tensor, type Tensors } from "../contracts/index.js";
import { fixture } from "../engine/onnx/import/imported-models.fixture.js";
import {
  builtinBlueprints,
  initHost,
  type OnnxHostOptions,
  type OnnxTask,
  onnxHost,
  slotsOf,
} from "../nn/index.js";
import { blendControlSpecs, type Topology } from "./index.js";
import { siteSpecs } from "./topology.js";

export const VECTOR: OnnxTask = { inputShape: [12], classes: 4 };
export const IMAGE: OnnxTask = { inputShape: [32, 32, 3], classes: 4 };
export const TOKENS: OnnxTask = { inputShape: [12], inputDType: "int32", classes: 32 };
export const SERIES: OnnxTask = { inputShape: [7, 5], classes: 4 };

/** A host with seeds of these blueprints, in its slots from the first on; two in the first one. */
export function grown(
  name: string,
  task: OnnxTask,
  blueprints: readonly string[],
  options: OnnxHostOptions = {},
): Topology {
  const host = onnxHost(fixture(name), task, options);
  const slots = slotsOf(host);
  const sites = blueprints.map((id, i) => {
    const blueprint = builtinBlueprints.get(id);
    const parameters = Object.fromEntries(
      Object.entries(blueprint.bounds).map(([key, bound]) => [key, Math.min(bound.default, 8)]),
    );
    const slot = slots[Math.min(slots.length, Math.max(0, i - 1))] ?? slots[0];
    return { seedId: `seed-${i + 1}`, slotId: slot?.id ?? "", blueprint, parameters, part: "grown" as const };
  });
  return { host, sites, hostGradient: "detach" };
}

function filled(shape: readonly number[], seed: number, scale: number): Tensor {
  return float32(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => (((i + seed) % 11) - 5) * scale),
  );
}

export function tensorsOf(topology: Topology): Tensors {
  const seeds = topology.sites.flatMap((site, s) =>
    Object.entries(siteSpecs(topology, site)).map(([path, { shape }], i): [string, Tensor] => [
      path,
      filled(shape, s + i, 0.05),
    ]),
  );
  const weights = Object.entries(blendControlSpecs(topology)).map(([name, { shape }]): [string, Tensor] => [
    name,
    float32(shape, 0.7),
  ]);
  return { ...initHost(topology.host, 1), ...Object.fromEntries([...seeds, ...weights]) };
}

export function example({ inputShape, inputDType }: OnnxTask, batch: number): Tensor {
  const shape = [batch, ...inputShape];
  const size = sizeOf(shape);
  if (inputDType === "int32")
    return int32(
      shape,
      Array.from({ length: size }, (_, i) => (i * 7) % 30),
    );
  return float32(
    shape,
    Array.from({ length: size }, (_, i) => ((i * 37) % 101) / 50 - 1),
  );
}

/** As the file has it: images with channels first. */
export function fileInput(x: Tensor): OrtTensor {
  if (x.dtype === "int32") return new OrtTensor("int64", BigInt64Array.from(x.data, BigInt), x.shape);
  const [batch = 1, height = 1, width = 1, channels] = x.shape;
  if (channels === undefined) return new OrtTensor("float32", x.data as Float32Array, x.shape);
  const plane = height * width;
  const data = Float32Array.from({ length: x.data.length }, (_, i) => {
    const [n, c, pixel] = [Math.floor(i / (plane * channels)), Math.floor(i / plane) % channels, i % plane];
    return x.data[(n * plane + pixel) * channels + c] ?? 0;
  });
  return new OrtTensor("float32", data, [batch, channels, height, width]);
}

/** Models with what may grow in them, over operator sets 9 to 17. */
export const GROWN: [string, OnnxTask, readonly string[], OnnxHostOptions?][] = [
  ["mlp-bn-opset9", VECTOR, ["mlp-residual", "low-rank", "host-block"]],
  ["mlp-bn", VECTOR, ["mlp-residual"]],
  ["mlp-bn-opset17", VECTOR, ["mlp-residual"], { head: "new" }],
  ["resnet18-bn", IMAGE, ["conv-residual", "squeeze-excite", "mlp-residual"]],
  ["resnet18-folded", IMAGE, ["low-rank"], { head: "new" }],
  ["gpt", TOKENS, ["attention-residual", "mlp-residual"]],
  ["lstm", SERIES, ["mlp-residual"]],
];
