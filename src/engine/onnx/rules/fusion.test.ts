import { numpy as np } from "@jax-js/jax";
import { describe, expect, test } from "vitest";
import type { TensorSpec } from "../../../contracts/tensor.js";
import { operators } from "../../native/operators.fixture.js";

const matrix: TensorSpec = { shape: [4, 3], dtype: "float32" };
const square: TensorSpec = { shape: [3, 3], dtype: "float32" };
const row: TensorSpec = { shape: [3], dtype: "float32" };
const column: TensorSpec = { shape: [4, 1], dtype: "float32" };

describe("operators that do the work of two", () => {
  test("a matrix product and a row added to it", () => {
    expect(operators([matrix, square, row], (a, b, c) => np.matmul(a, b).add(c))).toEqual(["Gemm"]);
    expect(operators([matrix, square, row], (a, b, c) => c.add(np.matmul(a, b)))).toEqual(["Gemm"]);
  });

  test("nothing but a row: a weight's decay stays in the chain of its update", () => {
    const plus = (c: TensorSpec) => operators([matrix, square, c], (a, b, x) => np.matmul(a, b).add(x));
    expect(plus(matrix)).toEqual(["Gemm", "Add"]);
    expect(plus(column)).toEqual(["Gemm", "Add"]);
  });

  test("a mean, and nothing that only looks like one", () => {
    expect(operators([matrix], (x) => x.mean(-1))).toEqual(["ReduceMean"]);
    expect(operators([matrix], (x) => x.mean())).toEqual(["ReduceMean"]);
    expect(operators([matrix], (x) => np.sum(x, -1).mul(0.25))).toEqual(["ReduceSum", "Mul"]);
  });

  test("a sum of squares, not of products", () => {
    expect(operators([matrix], (x) => np.sum(np.square(x), -1))).toEqual(["ReduceSumSquare"]);
    expect(operators([matrix, row], (x, y) => np.sum(x.mul(y), -1))).toEqual(["Mul", "ReduceSum"]);
  });

  test("a negative that is scaled and added, as one subtraction", () => {
    expect(operators([matrix, matrix], (x, y) => x.add(y.mul(-1)))).toEqual(["Sub"]);
    const scaled = operators([matrix, matrix], (x, y) => x.add(y.mul(-1).mul(0.5)));
    expect(scaled.filter((op) => op === "Sub" || op === "Add")).toEqual(["Add"]);
    const negative = operators([matrix, matrix], (x, y) => x.add(np.negative(y).mul(0.5)));
    expect(negative).toEqual(["Mul", "Sub"]);
  });

  test("sums that differ in the order of their operands alone are one", () => {
    expect(operators([matrix, matrix], (x, y) => x.ref.mul(y.ref).add(y.mul(x)))).toEqual(["Mul", "Add"]);
  });

  test("a reduced axis stays, with size 1: nothing is reshaped to be taken from what it was", () => {
    const centred = operators([matrix], (x) => x.ref.sub(x.mean(-1, { keepdims: true })));
    expect(centred).toEqual(["ReduceMean", "Sub"]);
  });
});
