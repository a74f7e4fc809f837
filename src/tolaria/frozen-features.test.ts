/** What is kept of a frozen prefix, for which rows, and when it is let go. */
import { describe, expect, test } from "vitest";
import { type BatchSource, type EvaluationSource, float32, type Tensor } from "../contracts/index.js";
import type { Program, State } from "../engine/index.js";
import { FrozenFeatures } from "./frozen-features.js";
import type { FrozenPrefixPrograms } from "./tracing/programs.js";

const BATCH = 2;
const ROWS = 6;
const state = {} as State;

/** Doubles its inputs and adds `drift` in the last place; counts how often it runs. */
class Doubling {
  runs = 0;
  readonly #drift: number;

  constructor(drift = 0) {
    this.#drift = drift;
  }

  async run(_: State, { x }: { readonly x?: Tensor }): Promise<Record<string, Tensor>> {
    this.runs++;
    const values = Float32Array.from(x?.data ?? [], (value) => 2 * value);
    const last = values.length - 1;
    values[last] = (values[last] ?? 0) + this.#drift;
    return { features: float32([BATCH, 1], values) };
  }
}

function prefixOf(train: Doubling, evaluate = new Doubling(), blocks = 1): FrozenPrefixPrograms {
  return { blocks, train: train as unknown as Program, evaluate: evaluate as unknown as Program };
}

const heldOut: EvaluationSource = { batch: BATCH, count: 3, batches: () => [] };

function featuresWith(maxBytes = 1_000, rows?: Pick<BatchSource, "rows">): FrozenFeatures {
  const train = { batch: BATCH, stepsPerEpoch: 3, ...(rows ?? { rows: ROWS }) };
  return new FrozenFeatures({ train: train as BatchSource, heldOut, maxBytes });
}

/** A batch in which each row holds its own number. */
function batchOf(...rows: number[]) {
  return { x: float32([BATCH, 1], rows), rows: Int32Array.from(rows) };
}

describe("of training rows", () => {
  test("each is computed once, in whatever batch it comes", async () => {
    const program = new Doubling();
    const features = featuresWith();
    const taken = async (...rows: number[]) => [
      ...(await features.ofStep(prefixOf(program), state, batchOf(...rows))).data,
    ];
    expect(await taken(0, 5)).toEqual([0, 10]);
    expect(program.runs).toBe(2); // once more with its rows in other places
    expect(await taken(3, 1)).toEqual([6, 2]);
    expect(program.runs).toBe(3);
    expect(await taken(5, 3)).toEqual([10, 6]);
    expect(await taken(1, 0)).toEqual([2, 0]);
    expect(program.runs).toBe(3);
    expect(await taken(0, 4)).toEqual([0, 8]);
    expect(program.runs).toBe(4);
  });

  test("none is kept where its bits are its place's too", async () => {
    const program = new Doubling(0.25);
    const features = featuresWith();
    const taken = async () => [...(await features.ofStep(prefixOf(program), state, batchOf(0, 5))).data];
    expect(await taken()).toEqual([0, 10.25]);
    expect(await taken()).toEqual([0, 10.25]);
    expect(program.runs).toBe(3);
  });

  test("none is kept where only some rows, in some places, show that", async () => {
    const evens = { runs: 0 };
    const program = {
      // The last place adds to row 1 alone, which the first batch has elsewhere.
      run: async (_: State, { x }: { readonly x?: Tensor }) => {
        evens.runs++;
        const values = Float32Array.from(x?.data ?? []);
        if (values.at(-1) === 1) values[values.length - 1] = 1.25;
        return { features: float32([4, 1], values) };
      },
    };
    const prefix = { ...prefixOf(new Doubling()), train: program as unknown as Program };
    const features = featuresWith();
    const rows = Int32Array.of(0, 1, 2, 3);
    const batch = { x: float32([4, 1], [0, 1, 2, 3]), rows };
    await features.ofStep(prefix, state, batch);
    expect(evens.runs).toBe(3); // two places on, row 1 is the last
    await features.ofStep(prefix, state, batch);
    expect(evens.runs).toBe(4);
  });

  test("none is kept where nobody says which they are", async () => {
    const program = new Doubling();
    const features = featuresWith();
    const { x } = batchOf(0, 5);
    for (let i = 0; i < 3; i++) await features.ofStep(prefixOf(program), state, { x, rows: undefined });
    expect(program.runs).toBe(3);
  });

  test("another prefix begins anew, and without one a step begins with the examples", async () => {
    const [first, second] = [new Doubling(), new Doubling()];
    const features = featuresWith();
    const batch = batchOf(0, 5);
    await features.ofStep(prefixOf(first), state, batch);
    await features.ofStep(prefixOf(second, new Doubling(), 2), state, batch);
    expect(second.runs).toBe(2);
    expect(await features.ofStep(undefined, state, batch)).toBe(batch.x);
    await features.ofStep(prefixOf(first), state, batch);
    expect(first.runs).toBe(4);
  });
});

test("of held-out rows each is computed once, padding too; of others none is kept", async () => {
  const program = new Doubling();
  const features = featuresWith();
  const taken = async (source: EvaluationSource, index: number) => {
    const x = float32([BATCH, 1], [index, index + 0.5]);
    return [
      ...(await features.ofEvaluation(prefixOf(new Doubling(), program), state, { x, source, index })).data,
    ];
  };
  for (let pass = 0; pass < 2; pass++) {
    expect(await taken(heldOut, 0)).toEqual([0, 1]);
    expect(await taken(heldOut, 1)).toEqual([2, 3]);
  }
  expect(program.runs).toBe(2);
  const test = { ...heldOut };
  await taken(test, 0);
  await taken(test, 0);
  expect(program.runs).toBe(4);
});

test("the values a row that there is room for follow from memory and rows", () => {
  // Six training rows, and three held-out ones in two batches of two.
  expect(featuresWith(4 * 10 * 7).maxValues).toBe(7);
  expect(featuresWith(4 * 10 * 7 - 1).maxValues).toBe(6);
  expect(featuresWith(0).maxValues).toBe(0);
  expect(featuresWith(1_000, {}).maxValues).toBe(0);
});
