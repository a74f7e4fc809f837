/**
 * Scalars that are computed alike, computed together: the vector of n results of the same operators on n tuples of
 * scalars is the operators once on n elements. What is not alike is joined.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import type { GraphBuilder, GraphNode, Value } from "../graph.js";
import { EXACT } from "./chains.js";

/** Give the same bits for an element wherever it lies in a vector. Exp is not exact, but the same everywhere; Log is not. */
const ALIKE: ReadonlySet<string> = new Set([...EXACT, "Exp"]);

/** The graph that the scalars are of, and what stands for its values in the new one. */
export interface ScalarSource {
  producer(value: Value): GraphNode | undefined;
  resolve(value: Value): Value;
}

export class ScalarVectors {
  readonly #graph: GraphBuilder;
  readonly #source: ScalarSource;
  readonly #known = new Map<string, Value>();

  constructor(graph: GraphBuilder, source: ScalarSource) {
    this.#graph = graph;
    this.#source = source;
  }

  /** Says that the scalars lie in `vector`, in this order. */
  know(scalars: readonly Value[], vector: Value): void {
    this.#known.set(keyOf(scalars), vector);
  }

  /** The scalars as one vector [n]. */
  vector(scalars: readonly Value[]): Value {
    const known = this.#known.get(keyOf(scalars));
    if (known) return known;
    const vector = this.#alike(scalars) ?? this.#joined(scalars);
    this.know(scalars, vector);
    return vector;
  }

  /** Undefined where they are not computed alike, from scalars. */
  #alike(scalars: readonly Value[]): Value | undefined {
    const nodes = scalars.flatMap((scalar) => this.#source.producer(scalar) ?? []);
    const [first] = nodes;
    if (!first || nodes.length < Math.max(2, scalars.length) || !nodes.every((node) => isLike(node, first))) {
      return undefined;
    }
    const operands = first.inputs.map((_, i) => this.#operand(nodes.flatMap((node) => node.inputs[i] ?? [])));
    this.#graph.origin = first.origin;
    return this.#graph.node(
      first.op,
      operands,
      { dtype: "float32", shape: [nodes.length] },
      first.attributes,
    );
  }

  #operand(scalars: readonly Value[]): Value {
    const [first] = scalars;
    if (first && scalars.every((scalar) => scalar === first)) {
      return this.#graph.reshape(this.#source.resolve(first), [1]);
    }
    return this.vector(scalars);
  }

  #joined(scalars: readonly Value[]): Value {
    const parts = scalars.map((scalar) => this.#graph.reshape(this.#source.resolve(scalar), [1]));
    const [only] = parts;
    if (only && parts.length === 1) return only;
    return this.#graph.node("Concat", parts, { dtype: "float32", shape: [parts.length] }, { axis: 0 });
  }
}

function isLike(node: GraphNode, first: GraphNode): boolean {
  return (
    node.op === first.op &&
    ALIKE.has(node.op) &&
    node.inputs.length === first.inputs.length &&
    [...node.inputs, ...node.outputs].every(({ shape, dtype }) => dtype === "float32" && sizeOf(shape) === 1)
  );
}

function keyOf(scalars: readonly Value[]): string {
  return scalars.map(({ id }) => id).join();
}
