import { numpy as np } from "@jax-js/jax";
import { beforeAll, describe, expect, test } from "vitest";
import type { Tensors } from "../../contracts/index.js";
import { createWasmBackend } from "../../engine/index.js";
import { attentionResidual, charlm, createHost, type Host, initHost, initKernel, slotsOf } from "../index.js";

const LENGTH = 5;
const host = charlm({ inputShape: [LENGTH], classes: 7, d: 8, heads: 2 });

beforeAll(async () => {
  const backend = await createWasmBackend();
  return () => backend.dispose();
});

/** Parameters that are nowhere at their zero start. */
function stirred(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([path, tensor]) => [
      path,
      { ...tensor, data: Float32Array.from(tensor.data, (value, i) => value + 0.2 * Math.sin(3 * i + 1)) },
    ]),
  );
}

function arrayOf(tensors: Tensors, path: string) {
  const tensor = tensors[path];
  if (!tensor) throw new Error(`no ${path}`);
  return np.array(tensor.data as Float32Array, { shape: [...tensor.shape] });
}

/** Logits of one row: LENGTH × classes numbers. */
async function logitsOf(of: Host, parameters: Tensors, tokens: readonly number[]): Promise<number[]> {
  let x = np.array(Int32Array.from(tokens), { shape: [1, tokens.length] });
  for (const block of of.blocks) {
    const names = Object.keys(block.parameters);
    const own = names.map((name) => [name, arrayOf(parameters, `host/${block.name}/${name}`)]);
    x = block.apply(Object.fromEntries(own), x);
  }
  return Array.from((await x.data()) as Float32Array);
}

describe("charlm", () => {
  test("has slots of [length, d] after its blocks, and says something at each position", () => {
    expect(slotsOf(host).map(({ id, shape }) => [id, shape])).toEqual([
      ["block1", [LENGTH, 8]],
      ["block2", [LENGTH, 8]],
    ]);
    expect(host.blocks.at(-1)?.outputShape).toEqual([LENGTH, 7]);
  });

  test("no position sees a later one; each sees all before it", async () => {
    const parameters = stirred(initHost(host, 1));
    const tokens = [1, 2, 3, 4, 5];
    const before = await logitsOf(host, parameters, tokens);
    for (let changed = 0; changed < LENGTH; changed++) {
      const other = tokens.map((token, i) => (i === changed ? 6 : token));
      const after = await logitsOf(host, parameters, other);
      for (let position = 0; position < LENGTH; position++) {
        const row = (logits: number[]) => logits.slice(position * 7, position * 7 + 7);
        if (position < changed) expect(row(after)).toEqual(row(before));
        else expect(row(after)).not.toEqual(row(before));
      }
    }
  });

  test("positions differ: the same token says something else later", async () => {
    const logits = await logitsOf(host, stirred(initHost(host, 1)), [3, 3, 3, 3, 3]);
    expect(logits.slice(0, 7)).not.toEqual(logits.slice(28, 35));
  });

  test.each([
    [{ inputShape: [2, 2], classes: 3 }, "host charlm needs sequences of tokens, got inputs of shape [2,2]"],
    [{ inputShape: [4], classes: 3, d: 6 }, "host charlm: d 6 must be a multiple of heads 4"],
  ])("%j is refused", (options, message) => {
    expect(() => charlm(options)).toThrow(message);
  });

  test("hosts and data of different kinds are refused", () => {
    const text = { inputShape: [4], inputDType: "int32", classes: 3 } as const;
    expect(() => createHost("resmlp", text)).toThrow(
      "host resmlp takes measurements, but the data holds tokens",
    );
    expect(() => createHost("charlm", { inputShape: [4], classes: 3 })).toThrow(
      "host charlm takes tokens, but the data holds measurements",
    );
    expect(createHost("charlm", text).inputDType).toBe("int32");
  });
});

describe("attention-residual", () => {
  const values = { heads: 2, headSize: 3 };

  test("fits sequences only", () => {
    expect([[8], [5, 8], [4, 4, 8]].map((shape) => attentionResidual.supports(shape))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("starts as nothing, and once it has learnt, no position sees a later one", async () => {
    const kernel = initKernel(attentionResidual, [LENGTH, 8], values, 3);
    const apply = async (weights: Tensors, h: Float32Array): Promise<number[]> => {
      const parameters = Object.fromEntries(
        Object.keys(weights).map((name) => [name, arrayOf(weights, name)]),
      );
      const k = attentionResidual.apply(parameters, np.array(h, { shape: [1, LENGTH, 8] }), values);
      return Array.from((await k.data()) as Float32Array);
    };
    const h = Float32Array.from({ length: LENGTH * 8 }, (_, i) => Math.sin(i * i));
    expect(new Set(await apply(kernel, h))).toEqual(new Set([0]));
    const learnt = stirred(kernel);
    const before = await apply(learnt, h);
    const after = await apply(learnt, h.with(8 * (LENGTH - 1), 3));
    expect(after.slice(0, 8 * (LENGTH - 1))).toEqual(before.slice(0, 8 * (LENGTH - 1)));
    expect(after.slice(-8)).not.toEqual(before.slice(-8));
  });
});
