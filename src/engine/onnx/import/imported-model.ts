/**
 * A model read from an ONNX file, ready to be traced: its weights are inputs of the traced program, its shapes are known for every batch
 * size, and any part of it can be carried out by itself.
 */

import { makeJaxpr, numpy as np, tree } from "@jax-js/jax";
import { KasminaError } from "../../../base/errors.js";
import { watchTraces } from "../../release-trace.js";
import type { JaxArray } from "../../trace.js";
import { type Constants, type ImportedParameter, sortConstants } from "./constants.js";
import { isFloat } from "./element-type.js";
import { type Model, type ModelNode, readModel, type TensorInfo } from "./read-model.js";
import { type GraphInputs, neededNodes, ruleOf, runGraph } from "./run-graph.js";
import { type StaticTensor, staticTensor } from "./static.js";
import { type ReadExternal, readFloat32, readNumbers } from "./tensor-proto.js";
import { arrayOf, shapeOfValue, traced, type Value } from "./value.js";
import { invalidModel } from "./wire.js";

export interface ImportOptions {
  /**
   * Sizes of an input without its batch axis; undefined for those of the file. Default: all have those of the file.
   */
  readonly shapeOf?: (input: TensorInfo) => readonly number[] | undefined;
  /** Reads files beside the model. Default: a model with external data is refused. */
  readonly readExternal?: ReadExternal;
}

/** An input of the model with every size but that of its batch settled. */
export interface ImportedInput {
  readonly name: string;
  /** int64 is given as int32. */
  readonly dtype: "float32" | "int32" | "bool";
  readonly type: TensorInfo["type"];
  /** Without the batch axis. */
  readonly shape: readonly number[];
}

/** A size that grows with the batch: factor·batch + offset. */
export interface BatchSize {
  readonly factor: number;
  readonly offset: number;
}

/** Two batch sizes tell what grows with the batch. Small primes: no factor of a network's own sizes that matters. */
const BATCHES = [2, 3] as const;

const NO_EXTERNAL: ReadExternal = (location) => {
  throw invalidModel(`the model keeps weights in ${JSON.stringify(location)}, which is not given`);
};

export class ImportedModel {
  readonly model: Model;
  readonly inputs: readonly ImportedInput[];
  readonly parameters: readonly ImportedParameter[];
  readonly #known: Constants["known"];
  readonly #readExternal: ReadExternal;
  readonly #folded = new Map<string, StaticTensor>();
  readonly #parameterAt: ReadonlyMap<string, ImportedParameter>;
  readonly #shapes: ReadonlyMap<string, readonly BatchSize[]>;
  /** Values that are computed from constants alone. */
  readonly #static: ReadonlySet<string>;

  /** @throws KasminaError `invalid_data` in one line, naming the node where there is one */
  constructor(bytes: Uint8Array, options: ImportOptions = {}) {
    this.model = readModel(bytes);
    const refused = refusedNodes(this.model);
    if (refused[0]) throw refused[0];
    this.#readExternal = options.readExternal ?? NO_EXTERNAL;
    const { parameters, known } = sortConstants(this.model, this.#readExternal);
    this.parameters = parameters;
    this.#known = known;
    this.#parameterAt = new Map(
      parameters.flatMap((parameter) =>
        parameter.uses.map(({ node, operand }) => [`${node.place}:${operand}`, parameter]),
      ),
    );
    this.inputs = this.model.inputs.map((info) => settledInput(info, options.shapeOf?.(info)));
    const { shapes, statics } = this.#inferShapes();
    this.#shapes = shapes;
    this.#static = statics;
  }

  /** How the sizes of a value depend on the batch size; undefined for a value that is never computed. */
  shapeOf(name: string): readonly BatchSize[] | undefined {
    return this.#shapes.get(name);
  }

  /** Whether a value is known before anything runs. */
  isStatic(name: string): boolean {
    return this.#static.has(name) || this.#known.has(name);
  }

  /** The value of a parameter in the file: a copy. */
  read(parameter: ImportedParameter): Float32Array {
    const { tensor } = parameter;
    return tensor.type === "float32"
      ? readFloat32(tensor, this.#readExternal)
      : Float32Array.from(readNumbers(tensor, this.#readExternal));
  }

  /** The parameter that is an operand of a node; undefined for any other operand. */
  parameterAt(node: ModelNode, operand: number): ImportedParameter | undefined {
    return this.#parameterAt.get(`${node.place}:${operand}`);
  }

  /** The nodes that compute `targets` from the given values, the model's inputs among them. */
  nodesFor(targets: readonly string[], from: readonly string[] = []): readonly ModelNode[] {
    const given = new Set([...from, ...this.inputs.map(({ name }) => name), ...this.#known.keys()]);
    const isParameter = new Set(this.parameters.map(({ tensor }) => tensor.name));
    return neededNodes(this.model.nodes, targets, {
      has: (name) => given.has(name) || isParameter.has(name),
    });
  }

  /**
   * Carries out nodes inside a traced function.
   * @param sources arrays by the name of a value, borrowed
   * @param parameter an array of a parameter, owned by the callee's caller
   */
  run(
    nodes: readonly ModelNode[],
    targets: readonly string[],
    sources: ReadonlyMap<string, Value>,
    parameter: (parameter: ImportedParameter) => JaxArray,
    batch: number,
  ): Value[] {
    return runGraph(nodes, targets, {
      ...this.#inputs(sources, parameter),
      shapeOf: (name) => this.shapeOf(name)?.map(({ factor, offset }) => factor * batch + offset),
    });
  }

  /** The whole model: arrays by input name, borrowed → the arrays of its outputs, owned by the caller. */
  forward(
    arrays: Readonly<Record<string, JaxArray>>,
    parameter: (parameter: ImportedParameter) => JaxArray,
    outputs?: readonly string[],
  ): JaxArray[] {
    const targets = outputs ?? this.model.outputs.map(({ name }) => name);
    const sources = new Map(
      this.inputs.flatMap(({ name, type }): [string, Value][] => {
        const array = arrays[name];
        return array ? [[name, traced(type, array)]] : [];
      }),
    );
    const [first] = sources.values();
    const batch = first ? (shapeOfValue(first)[0] ?? 1) : 1;
    return this.run(this.nodesFor(targets), targets, sources, parameter, batch).map((value) => {
      if (value.kind === "traced") return value.array;
      return arrayOf(value);
    });
  }

  #inputs(
    sources: ReadonlyMap<string, Value>,
    parameter: (parameter: ImportedParameter) => JaxArray,
  ): GraphInputs {
    return {
      opset: this.model.opset,
      known: (name) => this.#foldedConstant(name),
      parameter: (node, operand) => {
        const found = this.parameterAt(node, operand);
        return found && parameter(found);
      },
      sources,
    };
  }

  #foldedConstant(name: string): StaticTensor | undefined {
    const known = this.#folded.get(name);
    if (known) return known;
    const stored = this.#known.get(name);
    if (!stored) return undefined;
    const folded = staticTensor(stored.type, stored.shape, readNumbers(stored, this.#readExternal));
    this.#folded.set(name, folded);
    return folded;
  }

  /** Traces the model at two batch sizes: what differs between them is where the batch stands. */
  #inferShapes(): { shapes: ReadonlyMap<string, readonly BatchSize[]>; statics: ReadonlySet<string> } {
    const statics = new Set<string>();
    const [one, two] = BATCHES.map((batch) => this.#shapesAt(batch, statics)) as [Shapes, Shapes];
    const shapes = new Map<string, readonly BatchSize[]>();
    for (const [name, sizes] of one) {
      const other = two.get(name) ?? [];
      shapes.set(
        name,
        sizes.map((size, d) => {
          const factor = ((other[d] ?? size) - size) / (BATCHES[1] - BATCHES[0]);
          return { factor, offset: size - factor * BATCHES[0] };
        }),
      );
    }
    for (const { name } of this.model.outputs) {
      if (shapes.get(name)?.some(({ factor }) => factor > 0)) return { shapes, statics };
    }
    throw invalidModel(
      "the model's outputs do not depend on the batch size: a batch is fixed in it; export it with dynamic_axes",
    );
  }

  #shapesAt(batch: number, statics: Set<string>): Shapes {
    const shapes = new Map<string, readonly number[]>();
    const nodes = this.nodesFor(this.model.outputs.map(({ name }) => name));
    const names = this.inputs.map(({ name }) => name);
    const examples = [
      ...this.inputs.map(({ shape, dtype }) => np.zeros([batch, ...shape], { dtype: np[dtype] })),
      ...this.parameters.map(({ shape }) => np.zeros([...shape])),
    ];
    const watched = watchTraces((...arrays) => {
      const sources = new Map(
        this.inputs.flatMap(({ name, type }, i): [string, Value][] => {
          const array = arrays[i];
          return array ? [[name, traced(type, array)]] : [];
        }),
      );
      for (const [name, value] of sources) shapes.set(name, shapeOfValue(value));
      const parameter = (wanted: ImportedParameter): JaxArray => {
        const array = arrays[names.length + this.parameters.indexOf(wanted)];
        if (!array) throw new RangeError(`no parameter ${wanted.name}`);
        return array.ref;
      };
      const targets = this.model.outputs.map(({ name }) => name);
      const results = runGraph(nodes, targets, {
        ...this.#inputs(sources, parameter),
        onValue: (name, value) => {
          shapes.set(name, [...shapeOfValue(value)]);
          if (value.kind === "static") statics.add(name);
        },
        shapeOf: (name) => shapes.get(name),
      });
      return results.map(arrayOf);
    });
    try {
      makeJaxpr(watched.run)(...examples).jaxpr.dispose();
      return shapes;
    } finally {
      watched.release();
      tree.dispose(examples);
    }
  }
}

/** One error for each node of an operator that is not supported. */
export function refusedNodes({ nodes, opset }: Model): readonly KasminaError[] {
  return nodes.flatMap((node) => {
    try {
      ruleOf(node, opset);
      return [];
    } catch (error) {
      return [KasminaError.from(error)];
    }
  });
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** @throws KasminaError `invalid_argument` for a size that is free in the file and not given, or another one */
function settledInput(info: TensorInfo, given: readonly number[] | undefined): ImportedInput {
  const { name, type, shape } = info;
  const wanted = shape.slice(1);
  const text = `[${shape.join(", ")}]`;
  if (shape.length === 0) throw invalidModel(`input ${name} is a scalar, so it has no batch axis`);
  const sizes = given ?? wanted;
  const fits =
    sizes.length === wanted.length &&
    wanted.every((size, d) => typeof size === "string" || size === sizes[d]);
  if (!fits)
    throw new KasminaError(
      "invalid_argument",
      `input ${name} of the model is ${text}, which examples of shape [${sizes}] do not fit`,
    );
  const free = sizes.find((size) => typeof size === "string");
  if (free !== undefined) {
    throw new KasminaError(
      "invalid_argument",
      `input ${name} of the model is ${text}: its size ${free} is free, so it has to be given`,
    );
  }
  const dtype = isFloat(type) ? "float32" : type === "bool" ? "bool" : "int32";
  return { name, type, dtype, shape: sizes as readonly number[] };
}
