/** What every back end must do. A test file of each runs it. */
import { numpy as np, valueAndGrad } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, scalar, type Tensor } from "../contracts/tensor.js";
import type { Backend, State } from "./backend.js";
import { checkTurns } from "./state-turns.conformance.js";
import { type Arrays, type JaxArray, type ProgramDefinition, trace } from "./trace.js";

const SCALAR = { shape: [], dtype: "float32" } as const;

function vector(size: number) {
  return { shape: [size], dtype: "float32" } as const;
}

function array(arrays: Arrays, name: string): JaxArray {
  const value = arrays[name];
  if (!value) throw new RangeError(`no ${name}`);
  return value;
}

/** w ← w − lr·∂mean((x·w)²)/∂w; `other` is doubled and `idle` untouched. */
function leastSquares(weights = "w"): ProgramDefinition {
  return {
    name: "least squares step",
    state: { [weights]: vector(3), other: vector(2), idle: vector(1) },
    batch: { x: { shape: [4, 3], dtype: "float32" } },
    controls: { lr: SCALAR },
    run(state, batch, controls) {
      const w = array(state, weights);
      const [loss, grad] = valueAndGrad((v: JaxArray) => np.square(np.dot(array(batch, "x"), v)).mean())(
        w.ref,
      );
      return {
        state: { [weights]: w.sub(grad.mul(array(controls, "lr"))), other: array(state, "other").mul(2) },
        outputs: { loss },
      };
    },
  };
}

const x = float32([4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]);

function numbers(tensor: Tensor | undefined): number[] {
  return [...(tensor?.data ?? [])];
}

type ArrayFunction = (...arrays: JaxArray[]) => JaxArray | readonly JaxArray[];

/** A function of arrays as a program: inputs `x0`, `x1`, … → outputs `y0`, `y1`, … */
export function definitionOf(name: string, inputs: readonly Tensor[], run: ArrayFunction): ProgramDefinition {
  return {
    name,
    state: {},
    batch: Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor])),
    controls: {},
    run: (_state, arrays) => {
      const list = [run(...inputs.map((_, i) => array(arrays, `x${i}`)))].flat() as JaxArray[];
      return { state: {}, outputs: Object.fromEntries(list.map((one, i) => [`y${i}`, one])) };
    },
  };
}

/** Runs a function of arrays once, on tensors. */
export async function evaluate(
  backend: Backend,
  inputs: readonly Tensor[],
  run: ArrayFunction,
  name = "function",
): Promise<Tensor[]> {
  const program = await backend.compile(trace(definitionOf(name, inputs, run)));
  const state = backend.createState();
  try {
    const batch = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
    return Object.values(await program.run(state, batch, {}));
  } finally {
    program.dispose();
    state.dispose();
  }
}

/** What differs among back ends. */
export interface Promised {
  /** Whether NaN goes through maximum and minimum, as IEEE 754-2019 has it. */
  readonly keepsNan: boolean;
}

/** Declares the suite. */
export function describeBackend(
  name: string,
  open: () => Promise<Backend>,
  { keepsNan }: Promised = { keepsNan: true },
): void {
  describe(`back end ${name}`, () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await open();
    });
    afterAll(() => backend.dispose());

    function startState(): State {
      const state = backend.createState();
      state.write({
        w: float32([3], [1, 2, 3]),
        other: float32([2], [1, -1]),
        idle: float32([1], [5]),
      });
      return state;
    }

    test("says what it is", () => {
      expect(backend.name).toBe(name);
      expect(backend.description).toMatch(/\d+ threads?$|on WebGPU$|on CUDA$/);
    });

    test("keeps state from run to run and gives outputs back", async () => {
      const state = startState();
      const program = await backend.compile(trace(leastSquares()));
      const first = await program.run(state, { x }, { lr: scalar(0) });
      expect(numbers(first.loss)[0]).toBeCloseTo((1 + 4 + 9 + 36) / 4, 5);
      await program.run(state, { x }, { lr: scalar(0.1) });
      const after = await state.read();
      expect(numbers(after.other)).toEqual([4, -4]);
      expect(numbers(after.idle)).toEqual([5]);
      expect(numbers(after.w)[0]).toBeCloseTo(1 - 0.1 * ((2 * (1 + 6)) / 4), 5);
      expect(numbers(first.loss)[0]).toBeCloseTo((1 + 4 + 9 + 36) / 4, 5);
    });

    test("an input that is missing or of another shape is one error and changes nothing", async () => {
      const state = startState();
      const program = await backend.compile(trace(leastSquares()));
      const lr = scalar(0.1);
      await expect(program.run(state, {}, { lr })).rejects.toThrow(
        /least squares step needs batch x float32\[4,3\], which is missing/,
      );
      await expect(program.run(state, { x: float32([3, 3]) }, { lr })).rejects.toThrow(
        /least squares step needs batch x float32\[4,3\], got float32\[3,3\]/,
      );
      await expect(program.run(state, { x }, { lr: int32([], [1]) })).rejects.toThrow(
        /needs controls lr float32\[\], got int32\[\]/,
      );
      state.remove(["idle"]);
      state.rename("w", "v");
      await expect(program.run(state, { x }, { lr })).rejects.toThrow(
        /needs state w float32\[3\], which is missing/,
      );
      expect(numbers((await state.read()).v)).toEqual([1, 2, 3]);
      expect(numbers((await state.read()).other)).toEqual([1, -1]);
    });

    test("state: write copies, read copies, rename keeps, remove forgets", async () => {
      const state = backend.createState();
      const data = Float32Array.of(1, 2);
      state.write({ a: float32([2], data) });
      data[0] = 9;
      const { a } = await state.read(["a"]);
      expect(numbers(a)).toEqual([1, 2]);
      if (a) a.data[0] = 7;
      state.rename("a", "b");
      expect(state.has("a")).toBe(false);
      expect(state.paths).toEqual(["b"]);
      expect(numbers((await state.read()).b)).toEqual([1, 2]);
      state.write({ c: int32([1], [3]), d: { shape: [2], dtype: "bool", data: Uint8Array.of(0, 1) } });
      expect(numbers((await state.read(["c"])).c)).toEqual([3]);
      expect(numbers((await state.read(["d"])).d)).toEqual([0, 1]);
      expect(() => state.rename("b", "c")).toThrow(/already has c/);
      state.remove(["b"]);
      expect(() => state.remove(["b"])).toThrow(/state has no b/);
      await expect(state.read(["b"])).rejects.toThrow(/state has no b/);
      state.dispose();
    });

    test("an edit of a tensor that was handed in or out does not reach a later run", async () => {
      const state = startState();
      const program = await backend.compile(trace(leastSquares()));
      const batch = float32([4, 3], [...x.data]);
      const first = await program.run(state, { x: batch }, { lr: scalar(0) });
      const before = numbers(first.loss);
      batch.data.fill(0);
      const second = await program.run(state, { x: batch }, { lr: scalar(0) });
      expect(numbers(second.loss)).toEqual([0]);
      expect(numbers(first.loss)).toEqual(before);
    });

    test("two states of one program do not touch each other", async () => {
      const program = await backend.compile(trace(leastSquares()));
      const [one, two] = [startState(), startState()];
      await program.run(one, { x }, { lr: scalar(0.1) });
      expect(numbers((await two.read(["other"])).other)).toEqual([1, -1]);
      one.dispose();
      await program.run(two, { x }, { lr: scalar(0.1) });
      expect(numbers((await two.read(["other"])).other)).toEqual([2, -2]);
    });

    test("outputs that are inputs, constants or twice the same are values of their own", async () => {
      const results = await evaluate(backend, [float32([2], [3, 4])], (a) => [
        a.ref,
        a.ref,
        a.ref.mul(2),
        np.zeros([2]).add(7),
        a.mul(2),
      ]);
      expect(results.map(numbers)).toEqual([
        [3, 4],
        [3, 4],
        [6, 8],
        [7, 7],
        [6, 8],
      ]);
    });

    test("state that swaps places", async () => {
      const state = backend.createState();
      state.write({ a: float32([2], [1, 2]), b: float32([2], [3, 4]) });
      const program = await backend.compile(
        trace({
          name: "swap",
          state: { a: vector(2), b: vector(2) },
          batch: {},
          controls: {},
          run: ({ a, b }) => ({ state: { a: b as JaxArray, b: a as JaxArray }, outputs: {} }),
        }),
      );
      for (let i = 0; i < 3; i++) await program.run(state, {}, {});
      const { a, b } = await state.read();
      expect([numbers(a), numbers(b)]).toEqual([
        [3, 4],
        [1, 2],
      ]);
    });

    test("programs that replace different parts of the state, in any order, between any edits of it", async () => {
      await checkTurns(backend);
    });

    test("a program of the same structure is compiled once, whatever its paths are called", async () => {
      const before = backend.stats;
      const first = await backend.compile(trace(leastSquares("unique")));
      const second = await backend.compile(trace(leastSquares("renamed")));
      const { compiled, cacheHits } = backend.stats;
      expect(compiled + cacheHits - before.compiled - before.cacheHits).toBe(2);
      expect(cacheHits).toBeGreaterThan(before.cacheHits);
      const state = backend.createState();
      state.write({ renamed: float32([3], [1, 2, 3]), other: float32([2]), idle: float32([1]) });
      first.dispose();
      const { loss } = await second.run(state, { x }, { lr: scalar(0) });
      expect(numbers(loss)[0]).toBeCloseTo(12.5, 5);
    });

    test("other values of the controls compile nothing", async () => {
      const state = startState();
      const program = await backend.compile(trace(leastSquares()));
      const before = backend.stats;
      for (const lr of [0, 0.1, 1e-3]) await program.run(state, { x }, { lr: scalar(lr) });
      expect(backend.stats).toEqual(before);
    });

    test("the same run gives the same bits", async () => {
      const once = async () => {
        const state = startState();
        const program = await backend.compile(trace(leastSquares()));
        for (let i = 0; i < 20; i++) await program.run(state, { x }, { lr: scalar(0.03) });
        return numbers((await state.read(["w"])).w);
      };
      expect(await once()).toEqual(await once());
    });

    test("a state of another back end is refused", async () => {
      const program = await backend.compile(trace(leastSquares()));
      await expect(program.run({} as State, { x }, { lr: scalar(0) })).rejects.toThrow(/another back end/);
    });

    test("infinity goes its way, and NaN where that is promised", async () => {
      const first = keepsNan ? Number.NaN : -2;
      const values = float32([4], [first, Number.POSITIVE_INFINITY, -1, 0]);
      const [max, relu, min, sum] = await evaluate(backend, [values], (a) => [
        np.max(a.ref),
        np.maximum(a.ref, 0),
        np.min(a.ref.slice([1, 4])),
        np.sum(a.sub(Number.POSITIVE_INFINITY)),
      ]);
      expect(numbers(max)).toEqual([keepsNan ? Number.NaN : Number.POSITIVE_INFINITY]);
      expect(numbers(relu).map((value) => value + 0)).toEqual([
        keepsNan ? Number.NaN : 0,
        Number.POSITIVE_INFINITY,
        0,
        0,
      ]);
      expect(numbers(min)).toEqual([-1]);
      expect(numbers(sum)).toEqual([Number.NaN]);
    });
  });
}
