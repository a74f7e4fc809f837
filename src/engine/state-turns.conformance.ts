/** Programs that replace different parts of one state take turns, between edits of it: a property of every back end. */
import fc from "fast-check";
import { expect } from "vitest";
import { float32 } from "../contracts/tensor.js";
import type { Backend, Program, State } from "./backend.js";
import { type ProgramDefinition, trace } from "./trace.js";

const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [3], b: [2, 2], c: [], d: [1, 5] };
const PATHS = Object.keys(SHAPES);

/** p ← 2·p + 1 at `replaced`; gives the sum of all elements as they were. Whole numbers: exact anywhere. */
function doubling(replaced: readonly string[]): ProgramDefinition {
  return {
    name: "doubling",
    state: Object.fromEntries(
      Object.entries(SHAPES).map(([path, shape]) => [path, { shape, dtype: "float32" as const }]),
    ),
    batch: {},
    controls: {},
    run(state) {
      const sums = Object.values(state).map((one) => one.ref.sum());
      const next = Object.entries(state).filter(([path]) => replaced.includes(path));
      return {
        state: Object.fromEntries(next.map(([path, one]) => [path, one.mul(2).add(1)])),
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
    for (const [i, path] of PATHS.entries()) this.write(path, i + 1);
  }

  write(path: string, value: number): void {
    const tensor = float32(SHAPES[path] ?? [], value);
    this.state.write({ [path]: tensor });
    this.expected[path] = [...tensor.data];
  }

  renameAndBack(path: string): void {
    this.state.rename(path, "elsewhere");
    this.state.rename("elsewhere", path);
  }

  async run(program: Program, replaced: readonly string[]): Promise<void> {
    const before = Object.values(this.expected).flat();
    const { sum } = await program.run(this.state, {}, {});
    expect(sum?.data[0]).toBe(before.reduce((a, b) => a + b, 0));
    for (const path of replaced) {
      this.expected[path] = (this.expected[path] ?? []).map((value) => 2 * value + 1);
    }
  }

  async check(): Promise<void> {
    const read = Object.entries(await this.state.read());
    expect(Object.fromEntries(read.map(([path, { data }]) => [path, [...data]]))).toEqual(this.expected);
  }
}

export async function checkTurns(backend: Backend): Promise<void> {
  const parts = fc.sample(fc.subarray(PATHS, { minLength: 1 }), { numRuns: 12, seed: 2 });
  const programs = await Promise.all(parts.map((replaced) => backend.compile(trace(doubling(replaced)))));
  const path = fc.constantFrom(...PATHS);
  const value = fc.integer({ min: -9, max: 9 });
  const turn: fc.Arbitrary<(mirror: Mirror) => unknown> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .nat(parts.length - 1)
        .map((i) => (mirror: Mirror) => mirror.run(programs[i] as Program, parts[i] ?? [])),
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
