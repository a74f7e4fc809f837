/** Programs that replace and update different parts of one state take turns, between edits of it: a property of every back end. */
import fc from "fast-check";
import { expect } from "vitest";
import { float32 } from "../contracts/tensor.js";
import type { Backend, Program, State } from "./backend.js";
import { type Arrays, type ProgramDefinition, trace } from "./trace.js";
import type { UpdateRule } from "./update/rule.js";

const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [3], b: [2, 2], c: [], d: [1, 5] };
const PATHS = Object.keys(SHAPES);

/** What a program does with the tensors of a state. */
interface Parts {
  /** p ← 2·p + 1 */
  readonly replaced: readonly string[];
  /** With the gradient p and the slot s: s ← s + p, p ← −s of before. */
  readonly updated: readonly string[];
}

const SUMMING: UpdateRule<"sum", never, never> = {
  id: "summing",
  slots: ["sum"],
  scalars: [],
  settings: [],
  countsSteps: false,
  scalarsOf: () => ({}),
  next(math, { parameter, gradient, slots }) {
    const sum = math.add(slots.sum, gradient);
    return { parameter: math.sub(parameter, sum), slots: { sum } };
  },
};

/** Gives the sum of all elements as they were. Whole numbers: exact anywhere. */
function mixing({ replaced, updated }: Parts): ProgramDefinition {
  const chosen = (arrays: Arrays, names: readonly string[]) =>
    Object.entries(arrays).filter(([path]) => names.includes(path));
  return {
    name: "mixing",
    state: Object.fromEntries(
      Object.entries(SHAPES).map(([path, shape]) => [path, { shape, dtype: "float32" as const }]),
    ),
    batch: {},
    controls: {},
    update: {
      rule: SUMMING,
      targets: Object.fromEntries(
        updated.map((path) => [path, { slots: { sum: `sum/${path}` }, settings: {} }]),
      ),
    },
    run(state) {
      const sums = Object.values(state).map((one) => one.ref.sum());
      return {
        state: Object.fromEntries(
          chosen(state, replaced).map(([path, one]) => [path, one.ref.mul(2).add(1)]),
        ),
        gradients: Object.fromEntries(chosen(state, updated).map(([path, one]) => [path, one.ref])),
        outputs: { sum: sums.reduce((a, b) => a.add(b)) },
      };
    },
  };
}

/** A state with what must be in it. */
class Mirror {
  readonly state: State;
  readonly expected: Record<string, number[]> = {};

  constructor(state: State) {
    this.state = state;
    for (const [i, path] of PATHS.entries()) {
      this.write(path, i + 1);
      this.write(`sum/${path}`, 0);
    }
  }

  write(path: string, value: number): void {
    const tensor = float32(SHAPES[path.replace("sum/", "")] ?? [], value);
    this.state.write({ [path]: tensor });
    this.expected[path] = [...tensor.data];
  }

  renameAndBack(path: string): void {
    this.state.rename(path, "elsewhere");
    this.state.rename("elsewhere", path);
  }

  async run(program: Program, { replaced, updated }: Parts): Promise<void> {
    const before = { ...this.expected };
    const { sum } = await program.run(this.state, {}, {});
    expect(sum?.data[0]).toBe(PATHS.flatMap((path) => before[path] ?? []).reduce((a, b) => a + b, 0));
    for (const path of replaced) this.expected[path] = (before[path] ?? []).map((value) => 2 * value + 1);
    for (const path of updated) {
      const sums = before[`sum/${path}`] ?? [];
      this.expected[path] = sums.map((value) => 0 - value);
      this.expected[`sum/${path}`] = sums.map((value, i) => value + (before[path]?.[i] ?? Number.NaN));
    }
  }

  async check(): Promise<void> {
    const read = Object.entries(await this.state.read());
    expect(Object.fromEntries(read.map(([path, { data }]) => [path, [...data]]))).toEqual(this.expected);
  }
}

export async function checkTurns(backend: Backend): Promise<void> {
  const some = fc.tuple(
    fc.subarray(PATHS, { minLength: 1 }),
    fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  );
  const parts = fc.sample(some, { numRuns: 14, seed: 2 }).map(([paths, isUpdated]): Parts => {
    const updated = paths.filter((_, i) => isUpdated[i]);
    return { updated, replaced: paths.filter((path) => !updated.includes(path)) };
  });
  const programs = await Promise.all(parts.map((one) => backend.compile(trace(mixing(one)))));
  const path = fc.constantFrom(...PATHS, ...PATHS.map((one) => `sum/${one}`));
  const value = fc.integer({ min: -9, max: 9 });
  const turn: fc.Arbitrary<(mirror: Mirror) => unknown> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .nat(parts.length - 1)
        .map((i) => (mirror: Mirror) => mirror.run(programs[i] as Program, parts[i] as Parts)),
    },
    fc.tuple(path, value).map(
      ([one, to]) =>
        (mirror: Mirror) =>
          mirror.write(one, to),
    ),
    path.map((one) => (mirror: Mirror) => mirror.renameAndBack(one)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(turn, { maxLength: 12 }), async (turns) => {
      const mirror = new Mirror(backend.createState());
      for (const one of turns) await one(mirror);
      await mirror.check();
      mirror.state.dispose();
    }),
    { numRuns: 40, seed: 5 },
  );
  for (const program of programs) program.dispose();
}
