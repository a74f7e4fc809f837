/** The policy keeps what helps and culls what does not; `npm run bench -- judgement` runs more of the same. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { JUDGED, judgeOnce } from "../bench/growth/judgement-run.js";
import { type Backend, openBackend } from "../src/engine/index.js";

const RUNS = 3;
let backend: Backend;

beforeAll(async () => {
  ({ backend } = await openBackend("native", { threads: 1 }));
});

afterAll(() => backend.dispose());

test.each([
  ["useless", "culled"],
  ["harmful", "culled"],
  ["useful", "kept"],
] as const)("a %s blueprint is %s", async (kind, expected) => {
  for (let seed = 0; seed < RUNS; seed++) {
    const { verdict, why } = await judgeOnce(backend, JUDGED[kind], seed);
    expect(verdict, `random seed ${seed}: ${why}`).toBe(expected);
  }
});
