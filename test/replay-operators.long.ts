/** A run in which an operator meddled at arbitrary moments, killed on its way or not: its replay is the same to the last bit. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { ended, hasCheckpoint, replayRun, resumeRun, startRun } from "./resume.fixture.js";
import { meddle } from "./support/random-operator.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-meddle-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** What operators must have got through with, over all runs; else the test shows nothing. */
const APPLIED = [
  "GERMINATE",
  "START_TRAINING",
  "CULL",
  "PAUSE",
  "OPTIMIZER",
  "EMERGENCY",
  "ROLLBACK",
  "RESET",
];

const applied = new Set<string>();

describe.each(["wasm", "native"] as const)("runs on %s", (engine) => {
  /** Lets the run go on, meddled with, and killed so many milliseconds after its first checkpoint. */
  async function goOn(runDir: string, random: Random, killAfterMs?: number): Promise<void> {
    const child = hasCheckpoint(runDir) ? resumeRun(runDir) : startRun(runDir, engine, 45);
    const end = ended(child);
    const meddled = meddle(runDir, random, end);
    if (killAfterMs !== undefined) {
      while (!hasCheckpoint(runDir) && child.exitCode === null)
        await new Promise((resolve) => setTimeout(resolve, 20));
      setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    }
    const { code, stderr } = await end;
    if (code !== "SIGKILL") expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const kind of appliedOf(await meddled)) applied.add(kind);
    if (code === "SIGKILL") await goOn(runDir, random);
  }

  test.each([
    { seed: 1, killAfterMs: undefined },
    { seed: 2, killAfterMs: 600 },
    { seed: 3, killAfterMs: 1_500 },
  ])("replays what an operator did to it (seed $seed, killed after $killAfterMs ms)", async ({
    seed,
    killAfterMs,
  }) => {
    const runDir = join(root, `${engine}-${seed}`);
    await goOn(runDir, new Random(seed), killAfterMs);
    expect(await ended(replayRun(runDir))).toMatchObject({ code: 0 });
  });
});

test("replays a run that had a teacher", async () => {
  const [teacher, learner] = [join(root, "teacher"), join(root, "learner")];
  expect(await ended(startRun(teacher, "native", 3))).toMatchObject({ code: 0 });
  expect(await ended(startRun(learner, "native", 4, "--teacher", teacher))).toMatchObject({ code: 0 });
  expect(await ended(replayRun(learner))).toMatchObject({ code: 0 });
});

test("the operator got through", () => {
  expect([...applied]).toEqual(expect.arrayContaining(APPLIED));
});

/** The kinds of commands that were applied, out of what {@link meddle} returns. */
function appliedOf(outcomes: ReadonlyMap<string, number>): string[] {
  return [...outcomes.keys()]
    .map((outcome) => outcome.split(" "))
    .filter(([, status]) => status === "applied")
    .map(([kind = ""]) => kind);
}
