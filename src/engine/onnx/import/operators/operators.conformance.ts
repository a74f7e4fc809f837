/**
 * Every operator by itself, in each operator set that changed it, against ONNX Runtime: what it computes, and its gradient
 * against finite differences of what ONNX Runtime computes.
 */
import { grad, numpy as np } from "@jax-js/jax";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, sizeOf, type Tensor } from "../../../../contracts/tensor.js";
import { evaluate } from "../../../backend.conformance.js";
import type { Backend } from "../../../backend.js";
import { createNativeBackend } from "../../../native/index.js";
import type { JaxArray } from "../../../trace.js";
import { ImportedModel } from "../imported-model.js";
import { floats, ints, type SmallAttribute, type SmallTensor, smallModel } from "../small-model.fixture.js";
import { OPERATOR_NAMES } from "./index.js";

interface Case {
  readonly op: string;
  readonly opset?: number;
  /** What the network computes with: the first axis is the batch. */
  readonly data: readonly SmallTensor[];
  /** Operands behind the data, in the file. */
  readonly constants?: readonly (SmallTensor | undefined)[];
  readonly attributes?: Readonly<Record<string, SmallAttribute>>;
  readonly outputs?: number;
  readonly result?: SmallTensor["type"];
  /** Has no gradient, or none everywhere. */
  readonly flat?: boolean;
}

/** No element near a kink. */
const X = floats(
  [2, 3, 4],
  Array.from({ length: 24 }, (_, i) => ((i * 37) % 101) / 50 - 0.97),
);
const IMAGE = floats(
  [2, 4, 6, 5],
  Array.from({ length: 240 }, (_, i) => ((i * 37) % 101) / 50 - 0.97 + (i % 13) / 10_000),
);
const POSITIVE = floats(
  [2, 6],
  Array.from({ length: 12 }, (_, i) => 0.2 + ((i * 37) % 101) / 60),
);
const FLAGS: SmallTensor = { type: "bool", shape: [2, 3], data: [1, 0, 1, 0, 0, 1] };
const IDS: SmallTensor = { type: "int64", shape: [2, 3], data: [1, 0, 3, 2, 2, 1] };

function each(ops: readonly string[], rest: Omit<Case, "op">): Case[] {
  return ops.map((op) => ({ op, ...rest }));
}

function across(opsets: readonly number[], make: (opset: number) => Case): Case[] {
  return opsets.map((opset) => ({ ...make(opset), opset }));
}

const SCALAR = (value: number): SmallTensor => ({ type: "float32", shape: [], data: [value] });
const WHOLE = (value: number): SmallTensor => ({ type: "int64", shape: [], data: [value] });

const CASES: readonly Case[] = [
  ...each(["Add", "Sub", "Mul", "Div"], { data: [X], constants: [floats([3, 1], [0.5, -2, 3])] }),
  ...each(["Add", "Sub", "Mul", "Div"], {
    data: [X, floats([2, 1, 4], [1, 2, -3, 4, 5, -6, 7, 8])],
    opset: 9,
  }),
  { op: "Pow", data: [X], constants: [SCALAR(2)] },
  { op: "Pow", data: [X], constants: [SCALAR(3)], opset: 12 },
  { op: "Pow", data: [POSITIVE], constants: [floats([6], [0.5, 1, 2, 2.5, -1, 3])] },
  { op: "Pow", data: [POSITIVE], constants: [SCALAR(-0.5)], opset: 9 },
  { op: "Mod", data: [IDS], constants: [WHOLE(2)], result: "int64", flat: true },
  ...each(["Neg", "Abs", "Exp", "Sin", "Cos", "Erf"], { data: [X] }),
  ...each(["Sign", "Floor", "Ceil"], { data: [X], flat: true }),
  ...each(["Sqrt", "Reciprocal", "Log"], { data: [POSITIVE] }),
  { op: "Round", data: [IDS], flat: true, result: "float32" },
  ...each(["Min", "Max", "Sum", "Mean"], { data: [X, floats([2, 3, 1], [0.1, -0.3, 0.7, 0.2, 0.15, -0.9])] }),
  { op: "Clip", opset: 9, data: [X], attributes: { min: { float: -0.5 }, max: { float: 0.61 } } },
  { op: "Clip", opset: 9, data: [X], attributes: { min: { float: 0 } } },
  { op: "Clip", opset: 11, data: [X], constants: [SCALAR(-0.5), SCALAR(0.61)] },
  { op: "Clip", opset: 13, data: [X], constants: [undefined, SCALAR(0.61)] },

  ...each(
    [
      "Relu",
      "Sigmoid",
      "Tanh",
      "Softplus",
      "Softsign",
      "HardSigmoid",
      "Elu",
      "Celu",
      "Selu",
      "LeakyRelu",
      "ThresholdedRelu",
    ],
    { data: [X] },
  ),
  ...each(["HardSwish", "Mish"], { data: [X], opset: 18 }),
  { op: "HardSigmoid", data: [X], attributes: { alpha: { float: 0.7 }, beta: { float: 0.25 } } },
  { op: "LeakyRelu", data: [X], attributes: { alpha: { float: 0.3 } } },
  { op: "Gelu", data: [X], opset: 20 },
  { op: "Gelu", data: [X], opset: 20, attributes: { approximate: "tanh" } },
  { op: "Swish", data: [X], opset: 24, attributes: { alpha: { float: 1.5 } } },
  { op: "PRelu", data: [IMAGE], constants: [floats([4, 1, 1], [0.1, 0.2, -0.3, 0.4])] },

  { op: "MatMul", data: [X], constants: [floats([4, 5])] },
  { op: "MatMul", data: [X, floats([2, 4, 3])] },
  { op: "Gemm", data: [POSITIVE], constants: [floats([6, 3]), floats([3])] },
  {
    op: "Gemm",
    opset: 9,
    data: [POSITIVE],
    constants: [floats([3, 6]), floats([1, 3])],
    attributes: { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } },
  },
  ...["bij,bkj->bik", "bij,bkj->kb", "bij, bij -> bi"].map((equation) => ({
    op: "Einsum",
    data: [X, floats([2, equation.includes("k") ? 5 : 3, 4])],
    attributes: { equation },
  })),
  { op: "Einsum", data: [X], attributes: { equation: "bij->jb" } },
  { op: "Einsum", data: [X, floats([2, 4, 5]), floats([2, 5])], attributes: { equation: "bij,bjk,bk->bi" } },

  {
    op: "Conv",
    data: [IMAGE],
    constants: [floats([3, 4, 3, 3]), floats([3])],
    attributes: { pads: [1, 1, 1, 1] },
  },
  {
    op: "Conv",
    data: [IMAGE],
    constants: [floats([4, 1, 3, 2])],
    attributes: { group: 4, strides: [2, 1], pads: [1, 0, 2, 1] },
  },
  {
    op: "Conv",
    data: [IMAGE],
    constants: [floats([6, 2, 2, 2]), floats([6])],
    attributes: { group: 2, dilations: [2, 2], kernel_shape: [2, 2] },
  },
  {
    op: "Conv",
    data: [IMAGE],
    constants: [floats([3, 4, 3, 3])],
    attributes: { auto_pad: "SAME_UPPER", strides: [2, 2] },
  },
  { op: "Conv", data: [IMAGE], constants: [floats([3, 4, 2, 2])], attributes: { auto_pad: "SAME_LOWER" } },
  {
    op: "Conv",
    data: [floats([2, 3, 9])],
    constants: [floats([4, 3, 3])],
    attributes: { strides: [2], pads: [2, 1] },
  },
  { op: "Conv", data: [floats([1, 2, 4, 4, 4])], constants: [floats([3, 2, 2, 2, 2])] },
  {
    op: "ConvTranspose",
    data: [IMAGE],
    constants: [floats([4, 3, 3, 3]), floats([3])],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] },
  },
  {
    op: "ConvTranspose",
    data: [IMAGE],
    constants: [floats([4, 1, 2, 2])],
    attributes: { group: 4, strides: [2, 2] },
  },
  {
    op: "ConvTranspose",
    data: [IMAGE],
    constants: [floats([4, 3, 3, 2])],
    attributes: { dilations: [2, 1], group: 2 },
  },
  {
    op: "ConvTranspose",
    data: [IMAGE],
    constants: [floats([4, 3, 3, 3])],
    attributes: { strides: [2, 2], auto_pad: "SAME_UPPER" },
  },
  {
    op: "ConvTranspose",
    data: [floats([2, 3, 5])],
    constants: [floats([3, 2, 4])],
    attributes: { strides: [3] },
  },

  { op: "MaxPool", data: [IMAGE], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { op: "MaxPool", data: [IMAGE], attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  { op: "MaxPool", data: [floats([2, 3, 7])], attributes: { kernel_shape: [3] } },
  { op: "MaxPool", data: [floats([2, 3, 1, 4])], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { op: "AveragePool", data: [floats([2, 3, 4, 1])], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  {
    op: "AveragePool",
    data: [IMAGE],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  {
    op: "AveragePool",
    data: [IMAGE],
    attributes: { kernel_shape: [3, 2], pads: [1, 0, 1, 1], count_include_pad: 1 },
  },
  {
    op: "AveragePool",
    data: [IMAGE],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    opset: 19,
  },
  ...each(["GlobalAveragePool", "GlobalMaxPool"], { data: [IMAGE] }),

  ...across([9, 14, 15], (opset) => ({
    op: "BatchNormalization",
    opset,
    data: [IMAGE],
    constants: [floats([4]), floats([4]), floats([4]), floats([4], [1, 2, 0.5, 0.1])],
  })),
  { op: "InstanceNormalization", data: [IMAGE], constants: [floats([4]), floats([4])] },
  {
    op: "GroupNormalization",
    opset: 18,
    data: [IMAGE],
    constants: [floats([2]), floats([2])],
    attributes: { num_groups: 2 },
  },
  {
    op: "GroupNormalization",
    opset: 21,
    data: [IMAGE],
    constants: [floats([4]), floats([4])],
    attributes: { num_groups: 2 },
  },
  { op: "LayerNormalization", data: [X], constants: [floats([4]), floats([4])] },
  {
    op: "LayerNormalization",
    data: [X],
    constants: [floats([3, 4])],
    attributes: { axis: 1, epsilon: { float: 0.01 } },
  },
  { op: "RMSNormalization", opset: 23, data: [X], constants: [floats([4])] },
  { op: "LpNormalization", data: [X], attributes: { axis: 1 } },
  ...across([9, 11, 13], (opset) => ({ op: "Softmax", opset, data: [X] })),
  ...across([11, 13], (opset) => ({ op: "LogSoftmax", opset, data: [X], attributes: { axis: 1 } })),

  { op: "Attention", opset: 23, data: [floats([2, 3, 5, 4]), floats([2, 3, 6, 4]), floats([2, 3, 6, 4])] },
  {
    op: "Attention",
    opset: 23,
    data: [floats([2, 5, 8]), floats([2, 5, 4]), floats([2, 5, 4])],
    attributes: { q_num_heads: 4, kv_num_heads: 2, is_causal: 1 },
  },

  {
    op: "RNN",
    data: [floats([3, 2, 4])],
    constants: [floats([1, 5, 4]), floats([1, 5, 5]), floats([1, 10])],
    attributes: { hidden_size: 5 },
    outputs: 2,
  },
  {
    op: "GRU",
    data: [floats([3, 2, 4])],
    constants: [floats([2, 15, 4]), floats([2, 15, 5]), floats([2, 30])],
    attributes: { hidden_size: 5, direction: "bidirectional", linear_before_reset: 1 },
    outputs: 2,
  },
  {
    op: "GRU",
    data: [floats([3, 2, 4])],
    constants: [floats([1, 15, 4]), floats([1, 15, 5]), floats([1, 30])],
    attributes: { hidden_size: 5, direction: "reverse" },
  },
  {
    op: "LSTM",
    data: [floats([3, 2, 4])],
    constants: [floats([1, 20, 4]), floats([1, 20, 5]), floats([1, 40])],
    attributes: { hidden_size: 5 },
    outputs: 3,
  },

  { op: "Resize", opset: 10, data: [IMAGE], constants: [floats([4], [1, 1, 2, 2])] },
  {
    op: "Resize",
    opset: 11,
    data: [IMAGE],
    constants: [floats([0], []), floats([4], [1, 1, 2, 3])],
    attributes: { coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
  },
  {
    op: "Resize",
    opset: 13,
    data: [IMAGE],
    constants: [undefined, floats([4], [1, 1, 1.5, 2])],
    attributes: { mode: "linear" },
  },
  {
    op: "Resize",
    opset: 18,
    data: [IMAGE],
    constants: [undefined, undefined, ints(9, 7)],
    attributes: { axes: [2, 3], mode: "linear", coordinate_transformation_mode: "align_corners" },
  },
  {
    op: "Resize",
    opset: 18,
    data: [IMAGE],
    constants: [undefined, undefined, ints(3, 9)],
    attributes: { axes: [2, 3] },
  },
  {
    op: "Upsample",
    opset: 9,
    data: [IMAGE],
    constants: [floats([4], [1, 1, 2, 2])],
    attributes: { mode: "linear" },
  },

  ...each(
    ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL2", "ReduceLogSumExp"],
    { data: [X], attributes: { axes: [1], keepdims: 0 }, opset: 13 },
  ),
  ...each(["ReduceMean", "ReduceL1"], { data: [X], constants: [ints(-1)], opset: 18 }),
  { op: "ReduceL1", data: [X], attributes: { axes: [1, 2] }, opset: 11 },
  { op: "ReduceSum", opset: 11, data: [X], attributes: { axes: [2] } },
  { op: "ReduceSum", opset: 13, data: [X], constants: [ints(1)], attributes: { keepdims: 0 } },
  ...each(["ArgMax", "ArgMin"], {
    data: [X],
    attributes: { axis: -1, keepdims: 0 },
    result: "int64",
    flat: true,
  }),

  { op: "Reshape", data: [X], constants: [ints(0, -1)] },
  { op: "Squeeze", opset: 11, data: [floats([2, 1, 3])], attributes: { axes: [1] } },
  { op: "Squeeze", opset: 13, data: [floats([2, 1, 3])], constants: [ints(1)] },
  { op: "Unsqueeze", opset: 11, data: [X], attributes: { axes: [1, 4] } },
  { op: "Unsqueeze", opset: 13, data: [X], constants: [ints(-1)] },
  { op: "Flatten", data: [X], attributes: { axis: 2 } },
  { op: "Transpose", data: [X], attributes: { perm: [0, 2, 1] } },
  { op: "Transpose", data: [X] },
  { op: "Expand", data: [floats([2, 1, 3])], constants: [ints(1, 4, 1)] },
  { op: "Identity", data: [X] },
  { op: "Dropout", opset: 9, data: [X], attributes: { ratio: { float: 0.3 } } },
  { op: "Dropout", opset: 13, data: [X], constants: [SCALAR(0.5)] },
  { op: "Tile", data: [X], constants: [ints(1, 2, 3)] },
  { op: "EyeLike", data: [floats([2, 4])], attributes: { k: 1 }, flat: true },

  { op: "Slice", opset: 9, data: [X], attributes: { starts: [1, -3], ends: [3, 1000], axes: [1, 2] } },
  { op: "Slice", opset: 13, data: [X], constants: [ints(-1, 3), ints(-100, 0), ints(1, 2), ints(-1, -2)] },
  { op: "Slice", opset: 13, data: [IMAGE], constants: [ints(1), ints(6), ints(2), ints(2)] },
  { op: "Split", opset: 11, data: [X], attributes: { axis: 2, split: [1, 3] }, outputs: 2 },
  { op: "Split", opset: 13, data: [X], constants: [ints(3, 1)], attributes: { axis: 2 }, outputs: 2 },
  { op: "Split", opset: 18, data: [X], attributes: { axis: 1, num_outputs: 2 }, outputs: 2 },
  { op: "Concat", data: [X, floats([2, 3, 2])], attributes: { axis: 2 } },
  {
    op: "Gather",
    data: [X],
    constants: [{ type: "int64", shape: [2, 2], data: [0, 2, 1, -1] }],
    attributes: { axis: 1 },
  },
  { op: "Gather", data: [X], constants: [WHOLE(-1)], attributes: { axis: 2 } },
  {
    op: "GatherElements",
    data: [X, { type: "int64", shape: [2, 3, 2], data: [0, 1, 3, 2, 1, 0, 0, 0, 2, 2, 1, -1] }],
    attributes: { axis: 2 },
  },
  { op: "Trilu", data: [floats([2, 4, 4])], attributes: { upper: 0 } },
  { op: "Trilu", data: [floats([2, 4, 4])], constants: [WHOLE(1)] },
  { op: "Pad", opset: 9, data: [X], attributes: { pads: [0, 1, 2, 0, 0, -1], value: { float: 3 } } },
  { op: "Pad", opset: 13, data: [X], constants: [ints(0, 1, 2, 0, 0, 1)] },
  { op: "Pad", opset: 13, data: [X], constants: [ints(0, 1, 2, 0, 0, 1)], attributes: { mode: "reflect" } },
  { op: "Pad", opset: 18, data: [X], constants: [ints(2, 1), SCALAR(-1), ints(2)] },
  {
    op: "Pad",
    opset: 18,
    data: [X],
    constants: [ints(2, 1), undefined, ints(1)],
    attributes: { mode: "edge" },
  },
  { op: "DepthToSpace", data: [IMAGE], attributes: { blocksize: 2 } },
  { op: "DepthToSpace", data: [IMAGE], attributes: { blocksize: 2, mode: "CRD" } },
  { op: "SpaceToDepth", data: [floats([2, 3, 4, 6])], attributes: { blocksize: 2 } },
  { op: "OneHot", data: [IDS], constants: [WHOLE(4), floats([2], [-1, 2])], flat: true },
  { op: "CumSum", data: [X], constants: [WHOLE(1)] },
  { op: "CumSum", data: [X], constants: [WHOLE(-1)], attributes: { exclusive: 1, reverse: 1 } },

  ...each(["Equal", "Less", "Greater"], { data: [IDS], constants: [WHOLE(1)], result: "bool", flat: true }),
  ...each(["LessOrEqual", "GreaterOrEqual"], {
    data: [X, floats([2, 3, 1])],
    result: "bool",
    flat: true,
    opset: 16,
  }),
  ...each(["And", "Or", "Xor"], {
    data: [FLAGS, { ...FLAGS, data: [1, 1, 0, 0, 1, 1] }],
    result: "bool",
    flat: true,
  }),
  { op: "Not", data: [FLAGS], result: "bool", flat: true },
  {
    op: "IsNaN",
    data: [floats([2, 2], [1, Number.NaN, 0, Number.POSITIVE_INFINITY])],
    result: "bool",
    flat: true,
  },
  { op: "Where", data: [FLAGS, floats([2, 3]), floats([2, 1])] },
  { op: "Cast", data: [IDS], attributes: { to: 1 }, flat: true },
  { op: "Cast", data: [X], attributes: { to: 7 }, result: "int64", flat: true },
  { op: "CastLike", data: [IDS, X], opset: 15, flat: true },
];

/** They stand for what shapes and constants become: covered by the last test. */
const FOLDED = ["Constant", "ConstantOfShape", "Range", "Shape", "Size"];

function modelOf({
  op,
  opset = 17,
  data,
  constants = [],
  attributes = {},
  outputs = 1,
  result = "float32",
}: Case): Uint8Array {
  const names = data.map((_, i) => `x${i}`);
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  // Round is for constants alone: of the shape, which is one.
  const isFolded = op === "Round";
  return smallModel({
    opset,
    inputs: Object.fromEntries(
      data.map((tensor, i) => [`x${i}`, { type: tensor.type, shape: ["batch", ...tensor.shape.slice(1)] }]),
    ),
    initializers: Object.fromEntries(constants.flatMap((tensor, i) => (tensor ? [[`c${i}`, tensor]] : []))),
    nodes: isFolded
      ? ([
          { op: "Shape", inputs: ["x0"], outputs: ["s"] },
          { op: "Cast", inputs: ["s"], outputs: ["f"], attributes: { to: 1 } },
          { op: "Sqrt", inputs: ["f"], outputs: ["r"] },
          { op: "Round", inputs: ["r"], outputs: ["n"] },
          { op: "Gather", inputs: ["n", "one"], outputs: ["m"] },
          { op: "Cast", inputs: ["x0"], outputs: ["x"], attributes: { to: 1 } },
          { op: "Mul", inputs: ["x", "m"], outputs: results },
        ].concat([]) as never)
      : [
          {
            op,
            inputs: [...names, ...constants.map((tensor, i) => (tensor ? `c${i}` : ""))],
            outputs: results,
            attributes,
          },
        ],
    outputs: Object.fromEntries(results.map((name) => [name, result])),
    ...(isFolded ? { initializers: { one: WHOLE(1) } } : {}),
  });
}

function ortTensor({ type, shape, data }: SmallTensor): ort.Tensor {
  if (type === "int64") return new ort.Tensor("int64", BigInt64Array.from(data, BigInt), shape);
  if (type === "bool") return new ort.Tensor("bool", Uint8Array.from(data), shape);
  return new ort.Tensor("float32", Float32Array.from(data), shape);
}

function tensorOf({ type, shape, data }: SmallTensor): Tensor {
  if (type === "float32") return float32(shape, data);
  return type === "int64" ? int32(shape, data) : { shape, dtype: "bool", data: Uint8Array.from(data) };
}

/** A weight for each element of a result, so that errors cannot cancel out. */
function weight(i: number): number {
  return ((i * 29) % 17) / 8 - 1;
}

function weighted(array: JaxArray): JaxArray {
  const weights = Float32Array.from({ length: sizeOf(array.shape) }, (_, i) => weight(i));
  return array.mul(np.array(weights, { shape: array.shape })).sum();
}

async function run(session: ort.InferenceSession, data: readonly SmallTensor[]): Promise<number[][]> {
  const results = await session.run(
    Object.fromEntries(data.map((tensor, i) => [`x${i}`, ortTensor(tensor)])),
  );
  return session.outputNames.map((name) => Array.from((results[name]?.data ?? []) as Float32Array, Number));
}

/** Along one direction, by central differences of what ONNX Runtime computes. */
async function checkGradient(
  native: Backend,
  one: Case,
  session: ort.InferenceSession,
  forward: (...arrays: JaxArray[]) => JaxArray[],
  inputs: readonly Tensor[],
): Promise<void> {
  const learning = one.data.flatMap(({ type }, i) => (type === "float32" ? [i] : []));
  const loss = (...arrays: JaxArray[]): JaxArray =>
    forward(...arrays)
      .map(weighted)
      .reduce((sum, array) => sum.add(array));
  const gradients = await evaluate(native, inputs, (...arrays) => {
    const all = grad(loss as never, { argnums: learning }) as unknown as (...xs: JaxArray[]) => JaxArray[];
    return all(...arrays);
  });
  const direction = (operand: number, i: number): number => Math.sin(1 + i * 3 + operand);
  const step = 2e-3;
  const moved = (by: number): SmallTensor[] =>
    one.data.map((tensor, operand) =>
      tensor.type === "float32"
        ? { ...tensor, data: tensor.data.map((value, i) => value + by * direction(operand, i)) }
        : tensor,
    );
  const objective = async (data: readonly SmallTensor[]): Promise<number> =>
    (await run(session, data))
      .flatMap((values) => values.map((value, i) => value * weight(i)))
      .reduce((a, b) => a + b, 0);
  const measured = ((await objective(moved(step))) - (await objective(moved(-step)))) / (2 * step);
  const computed = learning.reduce((sum, operand, place) => {
    const values = Array.from(gradients[place]?.data ?? []);
    return sum + values.reduce((total, value, i) => total + value * direction(operand, i), 0);
  }, 0);
  expect(Math.abs(computed - measured)).toBeLessThan(0.02 * Math.max(1, Math.abs(measured)));
}

/** Declares the suite; without `gradients`, what operators compute alone. */
export function describeOperators({ gradients }: { readonly gradients: boolean }): void {
  let native: Backend;
  beforeAll(async () => {
    native = await createNativeBackend({ threads: 1 });
  });
  afterAll(() => native.dispose());

  describe("each operator is ONNX Runtime's", () => {
    const titled = CASES.map((one, i): [string, Case] => [
      `${i} ${one.op}-${one.opset ?? 17} ${JSON.stringify(one.attributes ?? {})}`,
      one,
    ]);

    test.each(titled)("%s", async (_title, one) => {
      const bytes = modelOf(one);
      const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
      const model = new ImportedModel(bytes);
      const parameter = (wanted: (typeof model.parameters)[number]): JaxArray =>
        np.array(model.read(wanted), { shape: [...wanted.shape] });
      const inputs = one.data.map(tensorOf);
      const forward = (...arrays: JaxArray[]): JaxArray[] =>
        model.forward(Object.fromEntries(arrays.map((array, i) => [`x${i}`, array])), parameter);
      const expected = await run(session, one.data);
      const actual = await evaluate(native, inputs, forward);
      for (const [i, wanted] of expected.entries()) {
        const got = Array.from(actual[i]?.data ?? [], Number);
        expect(got.length).toBe(wanted.length);
        for (const [j, value] of wanted.entries()) expect(got[j]).toBeCloseTo(value, 4);
      }
      if (gradients && !one.flat) await checkGradient(native, one, session, forward, inputs);
      await session.release();
    });
  });

  test("every operator of the table has a case", () => {
    const covered = new Set([...CASES.map(({ op }) => op), ...FOLDED]);
    expect(OPERATOR_NAMES.filter((name) => !covered.has(name))).toEqual([]);
  });

  test("shapes, ranges and constants are folded", async () => {
    const bytes = smallModel({
      inputs: { x: { type: "float32", shape: ["batch", 3] } },
      initializers: { zero: WHOLE(0), one: WHOLE(1), axis: ints(0) },
      nodes: [
        { op: "Shape", inputs: ["x"], outputs: ["shape"] },
        { op: "Gather", inputs: ["shape", "one"], outputs: ["width"] },
        { op: "Range", inputs: ["zero", "width", "one"], outputs: ["range"] },
        { op: "Cast", inputs: ["range"], outputs: ["ramp"], attributes: { to: 1 } },
        { op: "Size", inputs: ["x"], outputs: ["size"] },
        { op: "Unsqueeze", inputs: ["size", "axis"], outputs: ["sizes"] },
        {
          op: "ConstantOfShape",
          inputs: ["sizes"],
          outputs: ["many"],
          attributes: { value: floats([1], [0.5]) },
        },
        { op: "ReduceSum", inputs: ["many"], outputs: ["half"], attributes: { keepdims: 0 } },
        { op: "Constant", inputs: [], outputs: ["c"], attributes: { value: floats([1, 1], [2]) } },
        { op: "Add", inputs: ["x", "ramp"], outputs: ["a"] },
        { op: "Mul", inputs: ["a", "c"], outputs: ["b"] },
        { op: "Add", inputs: ["b", "half"], outputs: ["y"] },
      ],
      outputs: { y: "float32" },
    });
    const model = new ImportedModel(bytes);
    expect(model.parameters).toEqual([]);
    const [y] = await evaluate(native, [float32([2, 3], [1, 2, 3, 4, 5, 6])], (x) =>
      model.forward({ x }, () => x),
    );
    expect([...(y?.data ?? [])]).toEqual([5, 9, 13, 11, 15, 19]);
  });
}
