/** Files from strangers: each is one clear error or a model, whatever is in it. */
import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { KasminaError } from "../../../base/errors.js";
import { type ModelProto, ModelProtoSchema, TensorProto_DataLocation } from "../gen/onnx_pb.js";
import { ImportedModel } from "./imported-model.js";
import { floats, ints, type SmallModel, smallModel, smallModelProto } from "./small-model.fixture.js";

const LINEAR: SmallModel = {
  inputs: { x: { type: "float32", shape: ["batch", 4] } },
  initializers: { w: floats([4, 3]), b: floats([3]) },
  nodes: [
    { op: "MatMul", name: "product", inputs: ["x", "w"], outputs: ["h"] },
    { op: "Add", name: "sum", inputs: ["h", "b"], outputs: ["y"] },
  ],
  outputs: { y: "float32" },
};

function errorOf(bytes: Uint8Array): KasminaError | undefined {
  try {
    new ImportedModel(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof KasminaError) return error;
    throw error;
  }
}

/** The model after a change that a writer would not make. */
function changed(change: (proto: ModelProto) => void, model: SmallModel = LINEAR): Uint8Array {
  const proto = smallModelProto(model);
  change(proto);
  return toBinary(ModelProtoSchema, proto);
}

function graphOf(proto: ModelProto): NonNullable<ModelProto["graph"]> {
  if (!proto.graph) throw new RangeError("no graph");
  return proto.graph;
}

test("a model as it should be is read", () => {
  const model = new ImportedModel(smallModel(LINEAR));
  expect(model.parameters.map(({ name, role }) => `${name} ${role}`)).toEqual(["w weight", "b weight"]);
});

test("a file cut off at any byte is one line, or a whole model", () => {
  const bytes = smallModel(LINEAR);
  for (let length = 0; length < bytes.length; length++) {
    const error = errorOf(bytes.subarray(0, length));
    if (error) expect(error.message).not.toContain("\n");
  }
  expect(errorOf(bytes.subarray(0, bytes.length / 2))?.code).toBe("invalid_data");
});

describe("what is wrong in a file is named", () => {
  const twoNodes = (first: string, second: string): SmallModel => ({
    ...LINEAR,
    nodes: [
      { op: "Relu", name: "a", inputs: [first], outputs: ["p"] },
      { op: "Relu", name: "b", inputs: [second], outputs: ["y"] },
    ],
  });

  test.each<[string, Uint8Array, RegExp]>([
    ["nothing in it", new Uint8Array(0), /operator set 0/],
    ["another format", new TextEncoder().encode("PK\u0003\u0004 a zip file"), /no ONNX model/],
    ["a length of 2 GB", Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x07, 1, 2), /no ONNX model/],
    [
      "a cycle",
      smallModel({
        ...twoNodes("q", "p"),
        nodes: [
          { op: "Relu", name: "a", inputs: ["y"], outputs: ["p"] },
          { op: "Relu", name: "b", inputs: ["p"], outputs: ["y"] },
        ],
      }),
      /node a \(Relu\) is part of a cycle/,
    ],
    [
      "a missing initializer",
      smallModel({ ...LINEAR, initializers: { w: floats([4, 3]) } }),
      /nothing gives "b", an input of node sum \(Add\)/,
    ],
    [
      "a name defined twice",
      smallModel({
        ...LINEAR,
        nodes: [...LINEAR.nodes, { op: "Relu", name: "again", inputs: ["x"], outputs: ["h"] }],
      }),
      /node again \(Relu\) defines "h", which is defined already/,
    ],
    [
      "two initializers of one name",
      changed((proto) => graphOf(proto).initializer.push(...graphOf(proto).initializer.slice(0, 1))),
      /two initializers are named "w"/,
    ],
    [
      "an output that nothing computes",
      smallModel({ ...LINEAR, outputs: { z: "float32" } }),
      /nothing computes its output z/,
    ],
    [
      "no input",
      smallModel({ ...LINEAR, inputs: {}, nodes: [{ op: "Add", inputs: ["w", "w"], outputs: ["y"] }] }),
      /it has no input/,
    ],
    [
      "a huge shape",
      changed((proto) => {
        for (const one of graphOf(proto).initializer) one.dims = [2n ** 40n, 2n ** 20n];
      }),
      /tensor w has the shape/,
    ],
    [
      "a negative size",
      changed((proto) => {
        for (const one of graphOf(proto).initializer) one.dims = [-1n, 3n];
      }),
      /tensor w has the shape \[-1,3\]/,
    ],
    [
      "too few elements",
      changed((proto) => {
        for (const one of graphOf(proto).initializer) one.rawData = one.rawData.slice(4);
      }),
      /tensor w of shape \[4,3\] needs 12 elements of float32, the model holds 11/,
    ],
    [
      "half precision",
      changed((proto) => {
        for (const one of graphOf(proto).initializer) one.dataType = 10;
      }),
      /tensor w holds float16, which is not supported; convert/,
    ],
    [
      "an unknown domain",
      smallModel({
        ...LINEAR,
        nodes: [
          { op: "FusedMatMul", domain: "com.microsoft", name: "fused", inputs: ["x", "w"], outputs: ["y"] },
        ],
      }),
      /node "fused" \(com\.microsoft\.FusedMatMul, operator set 17\): operators of the domain com\.microsoft/,
    ],
    [
      "an operator set of the future",
      smallModel({ ...LINEAR, opset: 99 }),
      /operator set 99; 9 to 26 are supported/,
    ],
    [
      "an attribute that nobody knows",
      smallModel({
        ...LINEAR,
        nodes: [{ op: "Relu", name: "r", inputs: ["x"], outputs: ["y"], attributes: { slope: 1 } }],
      }),
      /node "r" \(Relu, operator set 17\): its attribute slope is not supported/,
    ],
    [
      "an operand too many",
      smallModel({ ...LINEAR, nodes: [{ op: "Relu", name: "r", inputs: ["x", "w"], outputs: ["y"] }] }),
      /its operand 1 is not supported/,
    ],
    [
      "an attribute of another type",
      smallModel({
        ...LINEAR,
        nodes: [{ op: "Softmax", name: "s", inputs: ["x"], outputs: ["y"], attributes: { axis: "last" } }],
      }),
      /its attribute axis is a STRING, expected INT/,
    ],
    [
      "a fixed batch",
      smallModel({
        ...LINEAR,
        initializers: { shape: ints(1, 4) },
        nodes: [{ op: "Reshape", name: "flat", inputs: ["x", "shape"], outputs: ["y"] }],
      }),
      /node "flat" \(Reshape, operator set 17\): .*a batch size is fixed here/,
    ],
    [
      "a constant that asks for all memory",
      smallModel({
        ...LINEAR,
        initializers: { size: ints(2 ** 31, 2 ** 20) },
        nodes: [
          { op: "ConstantOfShape", name: "big", inputs: ["size"], outputs: ["c"] },
          { op: "Add", inputs: ["x", "c"], outputs: ["y"] },
        ],
      }),
      /node "big".*too large/,
    ],
    [
      "an array that asks for all memory",
      smallModel({
        ...LINEAR,
        initializers: { size: ints(2 ** 20, 1, 2 ** 12, 4) },
        nodes: [{ op: "Expand", name: "wide", inputs: ["x", "size"], outputs: ["y"] }],
      }),
      /node "wide"/,
    ],
  ])("%s", (_what, bytes, message) => {
    const error = errorOf(bytes);
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toContain("\n");
  });

  test("graphs nested without end", () => {
    // graph → node → attribute → graph → …, written from the inside out.
    let bytes = new Uint8Array(0);
    const field = (number: number, content: Uint8Array): Uint8Array<ArrayBuffer> => {
      const length: number[] = [];
      let rest = content.length;
      do {
        length.push((rest & 127) | (rest > 127 ? 128 : 0));
        rest >>>= 7;
      } while (rest > 0);
      return Uint8Array.of((number << 3) | 2, ...length, ...content);
    };
    for (let depth = 0; depth < 500; depth++) bytes = field(1, field(5, field(6, bytes)));
    expect(errorOf(field(7, bytes))?.code).toBe("invalid_data");
  });
});

describe("external data", () => {
  const external = (entries: Readonly<Record<string, string>>): Uint8Array =>
    changed((proto) => {
      for (const one of graphOf(proto).initializer) {
        one.rawData = new Uint8Array(0);
        one.dataLocation = TensorProto_DataLocation.EXTERNAL;
        one.externalData = Object.entries(entries).map(([key, value]) => ({
          $typeName: "onnx.StringStringEntryProto",
          key,
          value,
        }));
      }
    });
  const file = new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => i).buffer);

  test("is read from beside the model", () => {
    const asked: string[] = [];
    const model = new ImportedModel(external({ location: "weights.bin", offset: "8" }), {
      readExternal: (location, offset, length = 0) => {
        asked.push(`${location} ${offset}`);
        return file.subarray(offset, offset + length);
      },
    });
    const [w] = model.parameters;
    expect(w && [...model.read(w).slice(0, 3)]).toEqual([2, 3, 4]);
    expect(asked).toContain("weights.bin 8");
  });

  test.each([
    "../weights.bin",
    "/etc/passwd",
    "a/../../b",
    "C:\\weights",
    "\\\\host\\share",
    "",
  ])("outside of the folder is refused: %s", (location) => {
    expect(errorOf(external({ location }))?.message).toMatch(/outside of the model's folder/);
  });

  test("that is too short is refused", () => {
    const bytes = external({ location: "weights.bin", offset: "60" });
    const read = (): ImportedModel =>
      new ImportedModel(bytes, {
        readExternal: (_location, offset, length = 0) => file.subarray(offset, offset + length),
      });
    expect(read).toThrow(/tensor w needs 48 bytes, weights\.bin holds 4/);
  });

  test("with an offset that is no number is refused", () => {
    expect(errorOf(external({ location: "w", offset: "-8" }))?.message).toMatch(/external offset "-8"/);
  });
});
