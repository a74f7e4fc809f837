/**
 * An exported model for whoever has raw rows and wants answers: what stands between the two is in the graph. Of a table each column is
 * an input of its own, [N, 1] of numbers (float64) or of texts; of other data the input is as it was read, bytes where they were. The
 * outputs are `prediction` and, of classes and labels, `probabilities`.
 *
 * A graph can refuse nothing: a number that is missing, or a text that is no category, makes a row's answers NaN and the name of its
 * class empty.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../base/bytes.js";
import { KasminaError } from "../../base/errors.js";
import type { ColumnCategories, ColumnEncoding, ColumnScaling } from "../../contracts/dataset.js";
import type { TargetScaling, TaskId } from "../../contracts/tasks.js";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType as Type,
  ValueInfoProtoSchema,
} from "./gen/onnx_pb.js";

/** How raw rows become a model's input, and what its output stands for. */
export interface RawFormat {
  readonly task: TaskId;
  readonly classes: number;
  readonly classNames?: readonly string[] | undefined;
  /** Of a regression. */
  readonly targets?: readonly TargetScaling[] | undefined;
  /** Of two classes: the probability from which the second is said. Default: the likelier one is. */
  readonly threshold?: number | undefined;
  /** Of a table. */
  readonly columns?: readonly ColumnEncoding[] | undefined;
  /** Multiplied into every raw input: 1/255 for bytes. */
  readonly inputScale: number;
}

/** In the metadata of a model that takes raw rows. */
export const RAW_KEY = "preprocessing";
/** Stands before all names of the model as it was: columns are called what they are called. */
const OWN = "network/";
/** Operators that take texts as categories. */
const LABELS_DOMAIN = "ai.onnx.ml";
const ROWS = "batch";
const BYTE_SCALE = 1 / 255;

/**
 * The model with raw inputs and with answers.
 *
 * @param bytes of a model with one input and one output [N, classes]
 * @throws KasminaError `invalid_argument` for a network that goes on with texts, which no operator takes apart, and for a column that
 * has the name of an output
 */
export function rawModel(bytes: Uint8Array, format: RawFormat): Uint8Array {
  const answer = ANSWERS[format.task];
  if (!answer)
    throw new KasminaError(
      "invalid_argument",
      "no ONNX operator makes tokens of a text: export it as it is, class_names in its metadata is the vocabulary",
    );
  const model = fromBinary(ModelProtoSchema, bytes);
  const { graph } = model;
  const input = graph && inputOf(graph);
  const [output] = graph?.output ?? [];
  if (!graph || !input || !output)
    throw new KasminaError("invalid_argument", "the model has no input and output");
  renameValues(graph);
  graph.input = graph.input.filter((one) => one !== input);
  graph.output = [];
  const before = new GraphPart(graph, "rows/");
  if (format.columns) columnInputs(before, format.columns, input.name);
  else scaledInput(before, input, format.inputScale);
  const after = new GraphPart(graph, "answers/");
  answer(after, output.name, format);
  graph.node = [...before.nodes, ...graph.node, ...after.nodes];
  if (graph.node.some(({ domain }) => domain === LABELS_DOMAIN)) requireLabels(model);
  model.metadataProps.push(create(StringStringEntryProtoSchema, { key: RAW_KEY, value: "graph" }));
  return toBinary(ModelProtoSchema, model);
}

type ValueInfo = GraphProto["input"][number];

/** What is fed; older models list their weights among the inputs. */
function inputOf({ input, initializer }: GraphProto): ValueInfo | undefined {
  return input.find(({ name }) => !initializer.some((weights) => weights.name === name));
}

function renameValues({ node, initializer, sparseInitializer, input, output, valueInfo }: GraphProto): void {
  const renamed = (name: string): string => (name === "" ? "" : OWN + name);
  for (const one of [...initializer, ...input, ...output, ...valueInfo]) one.name = renamed(one.name);
  for (const { values } of sparseInitializer) if (values) values.name = renamed(values.name);
  for (const one of node) {
    one.input = one.input.map(renamed);
    one.output = one.output.map(renamed);
    for (const { g, graphs } of one.attribute)
      for (const part of g ? [g, ...graphs] : graphs) renameValues(part);
  }
}

function requireLabels({ opsetImport }: ModelProto): void {
  if (!opsetImport.some(({ domain }) => domain === LABELS_DOMAIN))
    opsetImport.push(create(OperatorSetIdProtoSchema, { domain: LABELS_DOMAIN, version: 1n }));
}

/** Of a node that is added. */
interface Extras {
  /** Whole numbers, texts, or floats. */
  readonly attributes?: Readonly<Record<string, number | readonly string[]>>;
  readonly domain?: string;
  /** The name of what it computes; default: one that nothing else has. */
  readonly output?: string;
}

/** Nodes that are added in one place, with their constants, inputs and outputs. */
class GraphPart {
  readonly nodes: GraphProto["node"] = [];
  readonly #graph: GraphProto;
  /** Stands before its names. */
  readonly #prefix: string;

  constructor(graph: GraphProto, prefix: string) {
    this.#graph = graph;
    this.#prefix = prefix;
  }

  /** The name of what the new node computes. */
  node(
    opType: string,
    input: readonly string[],
    { attributes = {}, domain = "", ...more }: Extras = {},
  ): string {
    const name = `${this.#prefix}${this.nodes.length}/${opType}`;
    const { output = name } = more;
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push(
      create(NodeProtoSchema, { name, opType, domain, input: [...input], output: [output], attribute }),
    );
    return output;
  }

  cast(value: string, to: Type, output?: string): string {
    return this.node("Cast", [value], { attributes: { to }, ...(output !== undefined && { output }) });
  }

  floats(values: readonly number[], dims: readonly number[]): string {
    return this.#constant({ dataType: Type.FLOAT, floatData: [...values] }, dims);
  }

  doubles(values: readonly number[], dims: readonly number[]): string {
    return this.#constant({ dataType: Type.DOUBLE, doubleData: [...values] }, dims);
  }

  wholes(values: readonly number[], dims: readonly number[]): string {
    return this.#constant({ dataType: Type.INT64, int64Data: values.map(BigInt) }, dims);
  }

  texts(values: readonly string[], dims: readonly number[]): string {
    return this.#constant({ dataType: Type.STRING, stringData: values.map(utf8) }, dims);
  }

  #constant(content: MessageInitShape<typeof TensorProtoSchema>, dims: readonly number[]): string {
    const name = `${this.#prefix}constant/${this.#graph.initializer.length}`;
    this.#graph.initializer.push(create(TensorProtoSchema, { ...content, name, dims: dims.map(BigInt) }));
    return name;
  }

  input(name: string, elemType: Type, shape: Shape): string {
    this.#graph.input.push(tensorInfo(name, elemType, shape));
    return name;
  }

  output(name: string, elemType: Type, shape: Shape): void {
    this.#graph.output.push(tensorInfo(name, elemType, shape));
  }
}

function attributeOf(
  name: string,
  value: number | readonly string[],
): MessageInitShape<typeof AttributeProtoSchema> {
  return typeof value === "number"
    ? { name, type: AttributeType.INT, i: BigInt(value) }
    : { name, type: AttributeType.STRINGS, strings: value.map(utf8) };
}

/** A text is a size that is free. */
type Shape = readonly (number | string)[];

function tensorInfo(name: string, elemType: Type, shape: Shape): ValueInfo {
  const dim = shape.map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : { value: { case: "dimParam" as const, value: size } },
  );
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
  });
}

/** The input as it was read, under its own name: the model's is scaled. */
function scaledInput(part: GraphPart, { name: output, type }: ValueInfo, scale: number): void {
  const tensor = type?.value.case === "tensorType" ? type.value.value : undefined;
  const shape = tensor?.shape?.dim.map(({ value }) =>
    value.case === "dimValue" ? Number(value.value) : ROWS,
  );
  const isBytes = scale === BYTE_SCALE;
  const raw = part.input(output.slice(OWN.length), isBytes ? Type.UINT8 : Type.FLOAT, shape ?? []);
  const values = isBytes ? part.cast(raw, Type.FLOAT) : raw;
  if (scale === 1) part.node("Identity", [values], { output });
  else part.node("Mul", [values, part.floats([scale], [])], { output });
}

/** An input a column; side by side they are the model's. */
function columnInputs(part: GraphPart, columns: readonly ColumnEncoding[], output: string): void {
  const taken = columns.find(({ name }) => name === "prediction" || name === "probabilities");
  if (taken)
    throw new KasminaError(
      "invalid_argument",
      `the column "${taken.name}" has the name of an output of the model`,
    );
  const features = columns.map((column) =>
    "categories" in column ? oneHot(part, column) : standardized(part, column),
  );
  part.node("Concat", features, { attributes: { axis: 1 }, output });
}

/** (value − mean) / deviation, as the rows were read, in float64. */
function standardized(part: GraphPart, { name, mean, deviation, fill }: ColumnScaling): string {
  const value = part.input(name, Type.DOUBLE, [ROWS, 1]);
  const offset = part.node("Sub", [value, part.doubles([mean], [])]);
  const isConstant = deviation === 0;
  const scaled = isConstant
    ? part.node("Mul", [offset, part.doubles([0], [])])
    : part.node("Div", [offset, part.doubles([deviation], [])]);
  const feature = part.cast(scaled, Type.FLOAT);
  return fill ? part.node("Where", [part.node("IsNaN", [feature]), part.floats([0], []), feature]) : feature;
}

/** 1 for the text's own category, of which a missing one, "", has none; 0/0 for a text that is no category. */
function oneHot(part: GraphPart, { name, categories, fill }: ColumnCategories): string {
  // Data may count an empty text as a category like any other.
  const known = fill && !categories.includes("") ? [...categories, ""] : categories;
  const text = part.input(name, Type.STRING, [ROWS, 1]);
  const attributes = { cats_strings: known, zeros: 1 };
  const encoded = part.node("OneHotEncoder", [text], { attributes, domain: LABELS_DOMAIN });
  const hot = part.node("Reshape", [encoded, part.wholes([-1, known.length], [2])]);
  const isKnown = part.node("MatMul", [
    hot,
    part.floats(
      known.map(() => 1),
      [known.length, 1],
    ),
  ]);
  const own = known.flatMap((_, row) => categories.map((_, column) => (row === column ? 1 : 0)));
  const feature = part.node("MatMul", [hot, part.floats(own, [known.length, categories.length])]);
  return part.node("Div", [feature, isKnown]);
}

/** 1 where the second of two classes has this probability at least, else 0: int64 [N, 1]. */
function secondFrom(part: GraphPart, probabilities: string, threshold: number): string {
  const second = part.node("Gather", [probabilities, part.wholes([1], [1])], { attributes: { axis: 1 } });
  const isLess = part.node("Less", [second, part.floats([threshold], [])]);
  return part.cast(part.node("Not", [isLess]), Type.INT64);
}

/** What the model's output says, as outputs of the graph. */
type Answer = (part: GraphPart, output: string, format: RawFormat) => void;

const ANSWERS: Readonly<Partial<Record<TaskId, Answer>>> = {
  classification(part, output, { classes, classNames, threshold }) {
    part.node("Softmax", [output], { attributes: { axis: 1 }, output: "probabilities" });
    part.output("probabilities", Type.FLOAT, [ROWS, classes]);
    const at =
      threshold === undefined
        ? part.node("ArgMax", ["probabilities"], { attributes: { axis: 1, keepdims: 1 } })
        : secondFrom(part, "probabilities", threshold);
    const name = classNames ? part.node("Gather", [part.texts(classNames, [classes]), at]) : at;
    const none = classNames ? part.texts([""], []) : part.wholes([-1], []);
    const sum = part.node("MatMul", ["probabilities", part.floats(Array(classes).fill(1), [classes, 1])]);
    const said = part.node("Where", [part.node("IsNaN", [sum]), none, name]);
    part.node("Reshape", [said, part.wholes([-1], [1])], { output: "prediction" });
    part.output("prediction", classNames ? Type.STRING : Type.INT64, [ROWS]);
  },
  multilabel(part, output, { classes }) {
    part.node("Sigmoid", [output], { output: "probabilities" });
    part.output("probabilities", Type.FLOAT, [ROWS, classes]);
    part.node("Greater", ["probabilities", part.floats([0.5], [])], { output: "prediction" });
    part.output("prediction", Type.BOOL, [ROWS, classes]);
  },
  regression(part, output, { classes, targets = [] }) {
    const values = part.cast(output, Type.DOUBLE);
    const deviations = part.doubles(
      targets.map(({ deviation }) => deviation),
      [targets.length],
    );
    const means = part.doubles(
      targets.map(({ mean }) => mean),
      [targets.length],
    );
    part.node("Add", [part.node("Mul", [values, deviations]), means], { output: "prediction" });
    part.output("prediction", Type.DOUBLE, [ROWS, classes]);
  },
};
