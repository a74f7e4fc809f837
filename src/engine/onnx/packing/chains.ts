/**
 * Finds the elementwise chains at the end of a graph: operators that take tensors of one size, and scalars, and whose
 * results go nowhere but into further ones and out. The update of a parameter by its optimizer is one.
 *
 * Each element of a result depends on the elements at its own place alone, and the operators round as IEEE 754 says
 * wherever an element lies, so that chains which do the same may run as one on their elements laid end to end.
 */
import { sizeOf } from "../../../contracts/tensor.js";
import type { GraphNode, Value } from "../graph.js";

/** Rounded exactly by ONNX Runtime, so the same at every place of a vector. */
export const EXACT: ReadonlySet<string> = new Set([
  "Add",
  "Sub",
  "Mul",
  "Div",
  "Reciprocal",
  "Sqrt",
  "Neg",
  "Abs",
]);

export interface Chain {
  /** In the order of the graph. */
  readonly nodes: readonly GraphNode[];
  /** Elements of each of its tensors. */
  readonly size: number;
  /** The tensors it starts from, in the order in which its nodes name them first. */
  readonly leaves: readonly Value[];
  /** The scalars it takes, likewise. */
  readonly scalars: readonly Value[];
  /** The tensors of it that the graph gives out. */
  readonly results: readonly Value[];
  /** Equal for chains that do the same, with whatever scalars. */
  readonly signature: string;
}

/** The chains among `nodes`, which are live and in order; `results` are the graph's outputs. */
export function endingChains(nodes: readonly GraphNode[], results: readonly Value[]): Chain[] {
  const given = new Set(results);
  const consumers = new Map<Value, GraphNode[]>();
  for (const node of nodes) {
    for (const input of node.inputs) {
      const known = consumers.get(input);
      if (known) known.push(node);
      else consumers.set(input, [node]);
    }
  }
  const chainOf = new Map<GraphNode, GraphNode[]>();
  for (const node of [...nodes].reverse()) {
    const [output] = node.outputs;
    if (!output || !isElementwise(node, output)) continue;
    const users = consumers.get(output) ?? [];
    if (
      !users.every(
        (user) => chainOf.has(user) && sizeOf(user.outputs[0]?.shape ?? []) === sizeOf(output.shape),
      )
    )
      continue;
    join(chainOf, node, users);
  }
  return [...new Set(chainOf.values())].map((chain) => describe(chain, given));
}

function isElementwise(node: GraphNode, output: Value): boolean {
  const size = sizeOf(output.shape);
  return (
    EXACT.has(node.op) &&
    size > 1 &&
    [output, ...node.inputs].every(({ dtype }) => dtype === "float32") &&
    node.inputs.every(({ shape }) => sizeOf(shape) === size || sizeOf(shape) === 1)
  );
}

/** Adds a node to the chains of those that use it, which become one. */
function join(chainOf: Map<GraphNode, GraphNode[]>, node: GraphNode, users: readonly GraphNode[]): void {
  const chains = [...new Set(users.map((user) => chainOf.get(user) ?? []))];
  const [chain = [], ...others] = chains;
  for (const other of others) {
    for (const member of other) chainOf.set(member, chain);
    chain.push(...other);
  }
  chain.push(node);
  chainOf.set(node, chain);
}

function describe(unordered: readonly GraphNode[], given: ReadonlySet<Value>): Chain {
  const nodes = [...unordered].sort((a, b) => (a.outputs[0]?.id ?? 0) - (b.outputs[0]?.id ?? 0));
  const size = sizeOf(nodes[0]?.outputs[0]?.shape ?? []);
  const own = new Map<Value, number>();
  const leaves: Value[] = [];
  const scalars: Value[] = [];
  const results: Value[] = [];
  const reference = (value: Value): string => {
    const place = own.get(value);
    if (place !== undefined) return `n${place}`;
    return sizeOf(value.shape) === 1 ? `s${placeIn(scalars, value)}` : `l${placeIn(leaves, value)}`;
  };
  const signature = nodes.map((node, place) => {
    const inputs = node.inputs.map(reference);
    for (const output of node.outputs) own.set(output, place);
    const out = node.outputs.filter((output) => given.has(output));
    results.push(...out);
    return `${node.op}${JSON.stringify(node.attributes)}(${inputs})${out.length}`;
  });
  return { nodes, size, leaves, scalars, results, signature: signature.join(" ") };
}

/** Where a value stands in the list, at the end if it is new. */
function placeIn(values: Value[], value: Value): number {
  if (!values.includes(value)) values.push(value);
  return values.indexOf(value);
}
