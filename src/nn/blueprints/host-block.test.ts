import { numpy as np } from "@jax-js/jax";
import { beforeAll, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import { resolveParameters, sizeOf, type Tensors } from "../../contracts/index.js";
import { createWasmBackend } from "../../engine/index.js";
import { initKernel } from "../blueprint.js";
import type { Host } from "../host.js";
import { charlm } from "../hosts/charlm.js";
import { resconv } from "../hosts/resconv.js";
import { resmlp } from "../hosts/resmlp.js";
import { hostBlock } from "./host-block.js";

beforeAll(async () => {
  const backend = await createWasmBackend();
  return () => backend.dispose();
});

const HOSTS: readonly (readonly [string, Host])[] = [
  ["resmlp", resmlp({ inputShape: [3], classes: 2, width: 5 })],
  ["resconv", resconv({ inputShape: [8, 12], classes: 2, channels: 3 })],
  ["charlm", charlm({ inputShape: [6], classes: 4, d: 8, heads: 4 })],
];

/** Weights that are nowhere at their zero start. */
function stirred(kernel: Tensors): Tensors {
  const random = new Random(3);
  return Object.fromEntries(
    Object.entries(kernel).map(([name, tensor]) => [
      name,
      { ...tensor, data: Float32Array.from(tensor.data, (value) => value + 0.3 * random.normal()) },
    ]),
  );
}

function arrays(kernel: Tensors) {
  return Object.fromEntries(
    Object.entries(kernel).map(([name, { data, shape }]) => [
      name,
      np.array(data as Float32Array, { shape: [...shape] }),
    ]),
  );
}

function activation(shape: readonly number[]) {
  const random = new Random(7);
  const values = Float32Array.from({ length: 2 * sizeOf(shape) }, () => random.normal());
  return np.array(values, { shape: [2, ...shape] });
}

test.each(HOSTS)("in %s it begins as nothing", async (_, host) => {
  const shape = host.blocks.find(({ slot }) => slot)?.outputShape ?? [];
  const values = resolveParameters(hostBlock);
  const k = hostBlock.apply(arrays(initKernel(hostBlock, shape, values, 1)), activation(shape), values);
  expect(k.shape).toEqual([2, ...shape]);
  expect(new Set(await k.data())).toEqual(new Set([0]));
});

test.each(
  HOSTS,
)("in %s h + k(h) is what the host's own block gives with the same weights", async (_, host) => {
  const block = host.blocks.find(({ slot }) => slot);
  if (!block) throw new Error("no slot");
  const values = resolveParameters(hostBlock);
  const kernel = stirred(initKernel(hostBlock, block.outputShape, values, 1));
  expect(Object.fromEntries(Object.entries(kernel).map(([name, { shape }]) => [name, shape]))).toEqual(
    Object.fromEntries(Object.entries(block.parameters).map(([name, { shape }]) => [name, shape])),
  );
  const k = hostBlock.apply(arrays(kernel), activation(block.outputShape), values);
  const grown = Array.from((await activation(block.outputShape).add(k).data()) as Float32Array);
  const own = Array.from(
    (await block.apply(arrays(kernel), activation(block.outputShape)).data()) as Float32Array,
  );
  for (const [i, value] of grown.entries()) expect(value).toBeCloseTo(own[i] ?? Number.NaN, 5);
});

test("its inner size is its parameter; heads that do not divide the channels are fewer", () => {
  const specs = hostBlock.parameters([9, 6], { hidden: 10, heads: 4 });
  expect(specs.up?.shape).toEqual([10, 6]);
  const k = hostBlock.apply(
    arrays(initKernel(hostBlock, [9, 6], { hidden: 10, heads: 4 }, 1)),
    activation([9, 6]),
    { hidden: 10, heads: 4 },
  );
  expect(k.shape).toEqual([2, 9, 6]);
});

test("fits channels, sequences and images, and nothing else", () => {
  expect([[], [4], [5, 4], [3, 3, 4], [2, 3, 3, 4]].map((shape) => hostBlock.supports(shape))).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
});
