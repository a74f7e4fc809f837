import { describe, expect, test } from "vitest";
import type { TensorSpecs } from "../../contracts/tensor.js";
import { type ProgramDefinition, trace } from "../trace.js";
import type { UpdateRule } from "../update/rule.js";
import { liveNodes } from "./graph.js";
import { lowerGraph, lowerProgram } from "./lower.js";
import { packedPairs } from "./packing.js";

const SHAPES: Readonly<Record<string, readonly number[]>> = {
  a: [7],
  large: [9000],
  b: [3, 5],
  c: [1],
  frozen: [2],
};
const SPECS: TensorSpecs = Object.fromEntries(
  Object.entries(SHAPES).map(([name, shape]) => [name, { shape, dtype: "float32" as const }]),
);

/** The gradient of each parameter is a multiple of it. */
function multiples(names: readonly string[]): ProgramDefinition {
  const rule = { id: "none", slots: [], scalars: [], settings: [], countsSteps: false } as const;
  return {
    name: "multiples",
    state: SPECS,
    batch: {},
    controls: {},
    update: {
      rule: { ...rule, scalarsOf: () => ({}), next: (_, one) => ({ ...one, slots: {} }) } as UpdateRule,
      targets: Object.fromEntries(names.map((name) => [name, { slots: {}, settings: {} }])),
    },
    run: (state) => ({
      state: {},
      gradients: Object.fromEntries(names.map((name, i) => [name, state[name]?.mul(i + 2)])) as typeof state,
      outputs: {},
    }),
  };
}

describe("packing", () => {
  const namesIn = (definition: ProgramDefinition) => {
    const traced = trace(definition);
    const { inputs, outputs } = lowerProgram("multiples", traced);
    const named = (list: readonly { readonly name: string }[], places: readonly number[]) =>
      places.map((place) => list[place]?.name);
    return {
      inputs: inputs.map(({ places }) => named(traced.inputs, places)),
      outputs: outputs.map(({ places }) => named(traced.outputs, places)),
    };
  };

  test("small parameters come in and their gradients go out end to end, in one order", () => {
    expect(namesIn(multiples(["c", "large", "a"]))).toEqual({
      inputs: [["c", "a"], ["large"], ["b"], ["frozen"]],
      outputs: [["c", "a"], ["large"]],
    });
  });

  test("of one small gradient there is nothing to lay end to end", () => {
    expect(namesIn(multiples(["large", "b"])).outputs).toEqual([["large"], ["b"]]);
  });

  test("costs one operator in and one out", () => {
    const traced = trace(multiples(["a", "b", "c"]));
    const packed = packedPairs(traced).map(({ input }) => input);
    const count = (places: readonly number[]) => {
      const { graph, outputs } = lowerGraph("multiples", traced.ir, { contrib: true, packed: places });
      return liveNodes(graph.nodes, outputs).filter(({ op }) => op !== "Reshape").length;
    };
    expect(count(packed) - count([])).toBe(1);
  });

  test("programs whose tensors lie otherwise in an equal model do not share a digest", () => {
    const traced = trace(multiples(["a", "b"]));
    const [first, second, ...rest] = traced.inputs;
    const turned = { ...traced, inputs: [second, first, ...rest] as typeof traced.inputs };
    expect(lowerProgram("one", traced).digest).not.toBe(lowerProgram("two", turned).digest);
  });
});
