import { numpy as np } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../../base/random.js";
import { float32, sizeOf, type Tensor, type TensorSpecs } from "../../../contracts/tensor.js";
import type { Backend } from "../../backend.js";
import { createNativeBackend } from "../../native/native-backend.js";
import { type JaxArray, type ProgramDefinition, trace } from "../../trace.js";
import { liveNodes } from "../graph.js";
import { lowerGraph, lowerProgram } from "../lower.js";
import { pack } from "./pack.js";

const SHAPES: Readonly<Record<string, readonly number[]>> = {
  a: [7],
  b: [3, 5],
  c: [1],
  d: [4, 4],
  e: [9000],
  f: [5000],
  g: [2, 2500],
};

function specs(names: readonly string[]): TensorSpecs {
  const entries = names.flatMap((name) =>
    [name, `v/${name}`].map((path) => [path, { shape: SHAPES[name] ?? [], dtype: "float32" as const }]),
  );
  return Object.fromEntries(entries);
}

/** v ← 0.9·v + x²; p ← p − rate·x / (√v + ε), x = p·p: an optimizer's update, of these tensors alone. */
function updates(
  names: readonly string[],
  rateOf: (name: string) => string = () => "rate",
): ProgramDefinition {
  const scalar = { shape: [], dtype: "float32" } as const;
  return {
    name: "updates",
    state: specs(names),
    batch: {},
    controls: { rate: scalar, other: scalar },
    run(state, _batch, controls) {
      const next = names.flatMap((name): [string, JaxArray][] => {
        const [p, v] = [state[name] as JaxArray, state[`v/${name}`] as JaxArray];
        const x = p.ref.mul(p.ref);
        const moment = v.mul(0.9).add(np.square(x.ref));
        const rate = (controls[rateOf(name)] as JaxArray).ref;
        return [
          [`v/${name}`, moment.ref],
          [name, p.sub(x.mul(rate).div(np.sqrt(moment).add(1e-8)))],
        ];
      });
      return { state: Object.fromEntries(next), outputs: {} };
    },
  };
}

function graphOf(definition: ProgramDefinition) {
  const traced = trace(definition);
  const lowered = lowerGraph("updates", traced.ir, { contrib: true });
  const carried = traced.outputs.map(({ name }, output) => ({
    input: traced.inputs.findIndex((input) => input.name === name),
    output,
  }));
  const packed = pack(lowered, carried);
  const values = packed.outputs.map(({ value }) => value);
  const count = (op: string) => liveNodes(packed.graph.nodes, values).filter((node) => node.op === op).length;
  return { packed, count };
}

describe("packing small state", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createNativeBackend({ threads: 2 });
  });
  afterAll(() => backend.dispose());

  test("equal updates of several tensors are one chain; small state goes in and out as one vector", () => {
    const { packed, count } = graphOf(updates(["a", "b", "d"]));
    expect(count("Sqrt")).toBe(1);
    expect(packed.inputs.map(({ places }) => places.length)).toEqual([6, 1, 1]);
    expect(packed.outputs.map(({ places }) => places.length)).toEqual([6]);
    expect(packed.inputs[0]?.value.shape).toEqual([2 * (7 + 15 + 16)]);
  });

  test("of small tensors also with different scalars, of larger ones only with the same", () => {
    const rateOf = (name: string) => (name === "b" || name === "g" ? "other" : "rate");
    const small = graphOf(updates(["a", "b", "d"], rateOf));
    expect([small.count("Sqrt"), small.count("Gather")]).toEqual([1, 1]);
    expect(graphOf(updates(["f", "g"], rateOf)).count("Sqrt")).toBe(2);
    expect(graphOf(updates(["f", "g"])).count("Sqrt")).toBe(1);
  });

  test("what is large stays alone", () => {
    const { packed, count } = graphOf(updates(["a", "b", "e"]));
    expect(count("Sqrt")).toBe(2);
    expect(packed.inputs.map(({ places }) => places.length).sort()).toEqual([1, 1, 1, 1, 4]);
  });

  test("programs whose tensors lie otherwise in an equal model do not share a digest", () => {
    const [one, two] = [trace(updates(["a", "b"])), trace(updates(["a", "b"]))];
    const turned = { ...two, inputs: [...two.inputs].reverse() };
    expect(lowerProgram("one", one).digest).not.toBe(lowerProgram("two", turned).digest);
  });

  test("together they are what each is alone, to the bit", async () => {
    const random = new Random(3);
    const values = (shape: readonly number[]) =>
      float32(
        shape,
        Float32Array.from({ length: sizeOf(shape) }, () => 2 * random.uniform() - 1),
      );
    const names = Object.keys(SHAPES);
    const start = Object.fromEntries(
      Object.entries(specs(names)).map(([path, { shape }]) => [path, values(shape)]),
    );
    const [rate, other] = [float32([], 0.01), float32([], 0.003)];
    const rateOf = (name: string) => (name < "d" ? "other" : "rate");
    const updated = async (some: readonly string[]) => {
      const program = await backend.compile(trace(updates(some, rateOf)));
      const state = backend.createState();
      const paths = some.flatMap((name) => [name, `v/${name}`]);
      state.write(Object.fromEntries(paths.map((path) => [path, start[path] as Tensor])));
      for (let step = 0; step < 5; step++) await program.run(state, {}, { rate, other });
      return state.read();
    };
    const together = await updated(names);
    for (const name of names) {
      for (const [path, tensor] of Object.entries(await updated([name]))) {
        expect([path, together[path]?.data]).toEqual([path, tensor.data]);
      }
    }
  });
});
