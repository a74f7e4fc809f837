/**
 * Lays the small state of a program end to end. A tensor handed to or taken from ONNX Runtime costs 2.7 µs and an
 * operator 0.5 µs at least, however small, and making a session 30 µs an operator: of a small net's step that is the
 * greater part. So all small tensors that a program replaces go in and out as one vector, and chains that do the same
 * to several of them (an optimizer's updates) run once on their elements end to end.
 *
 * No result changes by a bit: see chains.ts.
 */
import { sum } from "../../../base/statistics.js";
import { sizeOf } from "../../../contracts/tensor.js";
import { GraphBuilder, type GraphNode, liveNodes, type Value } from "../graph.js";
import { bytesOf } from "../onnx-type.js";
import { type Chain, endingChains } from "./chains.js";
import { ScalarVectors } from "./scalar-vectors.js";

/** Of a tensor. Beyond it, copying the elements in and out costs more than the operators saved. */
const MAX_PACKED_ELEMENTS = 8192;
/** Of a tensor that joins others whose chains take other scalars: those are spread over its elements at every step. */
const MAX_SPREAD_ELEMENTS = 4096;

export interface Unpacked {
  readonly graph: GraphBuilder;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** An input and the output that replaces it, by their places. */
export interface Carried {
  readonly input: number;
  readonly output: number;
}

/** One tensor of a model, with the places of what lies in it end to end. */
export interface Part {
  readonly value: Value;
  readonly places: readonly number[];
}

export interface Packed {
  readonly graph: GraphBuilder;
  readonly inputs: readonly Part[];
  readonly outputs: readonly Part[];
}

export function pack(unpacked: Unpacked, carried: readonly Carried[]): Packed {
  const small = carried.filter((pair) => isSmall(unpacked, pair));
  if (small.length < 2) return asTheyAre(unpacked);
  return new Packer(unpacked, small).run();
}

function isSmall({ inputs, outputs }: Unpacked, { input, output }: Carried): boolean {
  const [from, to] = [inputs[input], outputs[output]];
  return [from, to].every(
    (value) => value?.dtype === "float32" && sizeOf(value.shape) <= MAX_PACKED_ELEMENTS,
  );
}

function asTheyAre({ graph, inputs, outputs }: Unpacked): Packed {
  const alone = (values: readonly Value[]) => values.map((value, place) => ({ value, places: [place] }));
  return { graph, inputs: alone(inputs), outputs: alone(outputs) };
}

/** Pairs that lie side by side: what one result of several chains is, or all scalars. */
interface Run {
  readonly pairs: readonly Carried[];
  readonly size: number;
}

/** Chains that do the same. */
interface Group {
  readonly chains: readonly [Chain, ...Chain[]];
  /** One for each result. */
  readonly runs: readonly Run[];
}

/** Writes the graph anew. */
class Packer {
  readonly #old: Unpacked;
  readonly #graph = new GraphBuilder();
  readonly #small: readonly Carried[];
  readonly #scalars: ScalarVectors;
  readonly #values = new Map<Value, Value>();
  /** What a value of the old graph that is packed lies in. */
  readonly #runOf = new Map<Value, Run>();
  /** A run's elements, before and after the step. */
  readonly #before = new Map<Run, Value>();
  readonly #after = new Map<Run, Value>();

  constructor(old: Unpacked, small: readonly Carried[]) {
    this.#old = old;
    this.#small = small;
    this.#scalars = new ScalarVectors(this.#graph, {
      producer: (value) => old.graph.producer(value),
      resolve: (value) => this.#resolve(value),
    });
  }

  run(): Packed {
    const nodes = liveNodes(this.#old.graph.nodes, this.#old.outputs);
    const groups = this.#groups(nodes);
    const runs = this.#layOut(groups);
    const order = runs.flatMap(({ pairs }) => pairs);
    const inputs = this.#takeIn(runs, order);
    const grouped = new Set(groups.flatMap(({ chains }) => chains.flatMap((chain) => chain.nodes)));
    for (const node of nodes) if (!grouped.has(node)) this.#again(node);
    for (const group of groups) this.#together(group);
    return { graph: this.#graph, inputs, outputs: this.#giveOut(runs, order) };
  }

  /** Chains with equals, all of whose results are small state. */
  #groups(nodes: readonly GraphNode[]): Group[] {
    const { outputs } = this.#old;
    const pairOf = new Map(this.#small.map((pair) => [outputs[pair.output], pair]));
    const chains = endingChains(nodes, outputs).filter(({ results }) =>
      results.every((result) => pairOf.has(result)),
    );
    const scalarsOf = ({ size, scalars }: Chain) =>
      size <= MAX_SPREAD_ELEMENTS ? "any" : scalars.map(({ id }) => id).join();
    return groupBy(chains, (chain) => `${chain.signature} of ${scalarsOf(chain)}`)
      .filter((equals) => equals.length > 1)
      .map((equals) => ({
        chains: equals,
        runs: equals[0].results.map((_, r) => ({
          pairs: equals.flatMap(({ results }) => pairOf.get(defined(results[r])) ?? []),
          size: sum(equals.map(({ size }) => size)),
        })),
      }));
  }

  /** The runs of all groups, then every other small tensor as a run of its own, then the scalars as one. */
  #layOut(groups: readonly Group[]): Run[] {
    const inRuns = groups.flatMap(({ runs }) => runs);
    const placed = new Set(inRuns.flatMap(({ pairs }) => pairs));
    const others = this.#small.filter((pair) => !placed.has(pair));
    const sizeOfPair = (pair: Carried) => sizeOf(this.#input(pair).shape);
    const scalars = others.filter((pair) => sizeOfPair(pair) === 1);
    const tensors = others.filter((pair) => sizeOfPair(pair) > 1);
    const runs = [
      ...inRuns,
      ...tensors.map((pair) => ({ pairs: [pair], size: sizeOfPair(pair) })),
      ...(scalars.length > 0 ? [{ pairs: scalars, size: scalars.length }] : []),
    ];
    for (const run of runs) for (const pair of run.pairs) this.#runOf.set(this.#input(pair), run);
    return runs;
  }

  #takeIn(runs: readonly Run[], order: readonly Carried[]): Part[] {
    const packed = this.#graph.input("float32", [sum(runs.map(({ size }) => size))]);
    const parts = [{ value: packed, places: order.map(({ input }) => input) }];
    for (const [place, value] of this.#old.inputs.entries()) {
      if (this.#runOf.has(value)) continue;
      const own = this.#graph.input(value.dtype, value.shape);
      this.#values.set(value, own);
      parts.push({ value: own, places: [place] });
    }
    const pieces = this.#split(
      packed,
      runs.map(({ size }) => size),
    );
    for (const [i, run] of runs.entries()) {
      const piece = defined(pieces[i]);
      this.#before.set(run, piece);
      const owners = run.pairs.map((pair) => this.#input(pair));
      if (run.size === owners.length) this.#scalars.know(owners, piece);
    }
    return parts;
  }

  #giveOut(runs: readonly Run[], order: readonly Carried[]): Part[] {
    const places = order.map(({ output }) => output);
    const after = runs.map((run) => this.#after.get(run) ?? this.#afterAlone(run));
    const parts = [{ value: this.#join(after), places }];
    for (const [place, value] of this.#old.outputs.entries()) {
      if (!places.includes(place)) parts.push({ value: this.#resolve(value), places: [place] });
    }
    return parts;
  }

  /** What becomes of a run that is no group's: of one tensor, or of the scalars. */
  #afterAlone(run: Run): Value {
    const results = run.pairs.map(({ output }) => defined(this.#old.outputs[output]));
    const [first] = results;
    if (run.size === results.length) return this.#scalars.vector(results);
    return this.#flat(this.#resolve(defined(first)));
  }

  /** The same node on the values of the new graph. */
  #again(node: GraphNode): void {
    this.#graph.origin = node.origin;
    const inputs = node.inputs.map((input) => this.#resolve(input));
    const outputs =
      node.op === "Identity"
        ? inputs.map((input) => this.#graph.copy(input))
        : this.#graph.nodeWithOutputs(node.op, inputs, node.outputs, node.attributes);
    for (const [i, output] of node.outputs.entries()) this.#values.set(output, defined(outputs[i]));
  }

  /** The nodes of the first chain, on the elements of all. */
  #together({ chains, runs }: Group): void {
    const [first] = chains;
    const size = sum(chains.map((chain) => chain.size));
    const values = new Map<Value, Value>();
    for (const [i, leaf] of first.leaves.entries()) values.set(leaf, this.#leaf(chains, i));
    for (const [i, scalar] of first.scalars.entries()) values.set(scalar, this.#scalar(chains, i));
    for (const node of first.nodes) {
      this.#graph.origin = node.origin;
      const inputs = node.inputs.map((input) => defined(values.get(input)));
      const value = this.#graph.node(node.op, inputs, { dtype: "float32", shape: [size] }, node.attributes);
      values.set(defined(node.outputs[0]), value);
    }
    for (const [r, run] of runs.entries())
      this.#after.set(run, defined(values.get(defined(first.results[r]))));
  }

  /** One leaf of several chains, end to end. */
  #leaf(chains: readonly Chain[], place: number): Value {
    const leaves = chains.map((chain) => defined(chain.leaves[place]));
    const run = this.#runOf.get(defined(leaves[0]));
    const isRun =
      run?.pairs.length === leaves.length && run.pairs.every((pair, i) => this.#input(pair) === leaves[i]);
    if (run && isRun) return defined(this.#before.get(run));
    return this.#join(leaves.map((leaf) => this.#flat(this.#resolve(leaf))));
  }

  /** One scalar of several chains: a scalar where it is the same, or else one for each element of theirs. */
  #scalar(chains: readonly Chain[], place: number): Value {
    const scalars = chains.map((chain) => defined(chain.scalars[place]));
    const different = [...new Set(scalars)];
    const [first] = different;
    if (first && different.length === 1) return this.#graph.reshape(this.#resolve(first), []);
    const spread = new Int32Array(sum(chains.map(({ size }) => size)));
    let end = 0;
    for (const [i, { size }] of chains.entries()) {
      spread.fill(different.indexOf(defined(scalars[i])), end, end + size);
      end += size;
    }
    const places = this.#graph.constant("int32", [spread.length], bytesOf(spread));
    const vector = this.#scalars.vector(different);
    return this.#graph.node(
      "Gather",
      [vector, places],
      { dtype: "float32", shape: [spread.length] },
      { axis: 0 },
    );
  }

  #resolve(value: Value): Value {
    if (value.constant) return this.#graph.constant(value.dtype, value.shape, value.constant);
    const known = this.#values.get(value);
    if (known) return known;
    const run = this.#runOf.get(value);
    if (run) this.#takeApart(run);
    return defined(this.#values.get(value));
  }

  /** Makes tensors of their own of what lies in a run. */
  #takeApart(run: Run): void {
    const owners = run.pairs.map((pair) => this.#input(pair));
    const sizes = owners.map(({ shape }) => sizeOf(shape));
    const pieces = this.#split(defined(this.#before.get(run)), sizes);
    for (const [i, owner] of owners.entries()) {
      this.#values.set(owner, this.#graph.reshape(defined(pieces[i]), owner.shape));
    }
  }

  #flat(value: Value): Value {
    return this.#graph.reshape(value, [sizeOf(value.shape)]);
  }

  #split(value: Value, sizes: readonly number[]): readonly Value[] {
    if (sizes.length === 1) return [value];
    const pieces = sizes.map((size) => ({ dtype: value.dtype, shape: [size] }));
    return this.#graph.nodeWithOutputs("Split", [value, this.#graph.ints(sizes)], pieces, { axis: 0 });
  }

  #join(values: readonly Value[]): Value {
    const [first] = values;
    if (first && values.length === 1) return first;
    const size = sum(values.map(({ shape }) => sizeOf(shape)));
    return this.#graph.node("Concat", values, { dtype: "float32", shape: [size] }, { axis: 0 });
  }

  #input(pair: Carried): Value {
    return defined(this.#old.inputs[pair.input]);
  }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): [T, ...T[]][] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}

function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new RangeError("a value of the graph is missing");
  return value;
}
