/** A run in which an operator meddled at arbitrary moments, killed on its way or not: its replay is the same to the last bit. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { ended, epochOf, hasCheckpoint, replayRun, resumeRun, startRun } from "./resume.fixture.js";
import { RandomOperator } from "./support/random-operator.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-meddle-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Of which a killed run has most before it. */
const EPOCHS = 30;

const operator = new RandomOperator();

/** Lets a run go on to its end, meddled with, and kills it once it has come to an epoch. */
async function grow(runDir: string, engine: "wasm" | "native", random: Random, killAtEpoch?: number) {
  const child = hasCheckpoint(runDir) ? resumeRun(runDir) : startRun(runDir, { engine, epochs: EPOCHS });
  const end = ended(child);
  const meddled = operator.meddle(runDir, random, end);
  if (killAtEpoch !== undefined) {
    while (epochOf(runDir) < killAtEpoch && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGKILL");
  }
  const { code, stderr } = await end;
  await meddled;
  expect({ code, stderr }).toMatchObject({ code: killAtEpoch === undefined ? 0 : "SIGKILL" });
  if (killAtEpoch !== undefined) await grow(runDir, engine, random);
}

describe.each(["wasm", "native"] as const)("runs on %s", (engine) => {
  test.each([
    { seed: 1, killAtEpoch: undefined },
    { seed: 2, killAtEpoch: 5 },
    { seed: 3, killAtEpoch: 15 },
  ])("replays what an operator did to it (seed $seed, killed at epoch $killAtEpoch)", async ({
    seed,
    killAtEpoch,
  }) => {
    const runDir = join(root, `${engine}-${seed}`);
    await grow(runDir, engine, new Random(seed), killAtEpoch);
    expect(await ended(replayRun(runDir))).toMatchObject({ code: 0 });
  });
});

test("replays a run that had a teacher", async () => {
  const [teacher, learner] = [join(root, "teacher"), join(root, "learner")];
  expect(await ended(startRun(teacher, { engine: "native", epochs: 3 }))).toMatchObject({ code: 0 });
  const learning = startRun(learner, { engine: "native", epochs: 4, more: ["--teacher", teacher] });
  expect(await ended(learning)).toMatchObject({ code: 0 });
  expect(await ended(replayRun(learner))).toMatchObject({ code: 0 });
});

test("replays a run that went on from another, which is gone, and what an operator did to it", async () => {
  const [parent, child] = [join(root, "parent"), join(root, "child")];
  expect(await ended(startRun(parent, { engine: "native", epochs: 12 }))).toMatchObject({ code: 0 });
  const going = startRun(child, { engine: "native", epochs: EPOCHS, more: ["--from", parent] });
  const end = ended(going);
  const meddled = operator.meddle(child, new Random(4), end);
  expect(await end).toMatchObject({ code: 0 });
  await meddled;
  await rm(parent, { recursive: true });
  expect(await ended(replayRun(child))).toMatchObject({ code: 0 });
});

test("the operator got through with everything", async () => {
  // Another run, where those above happened to end before there was an occasion.
  for (let seed = 4; operator.missing.length > 0; seed++) {
    console.info(`run ${seed} for ${operator.missing.join()}`);
    const runDir = join(root, `more-${seed}`);
    await grow(runDir, "wasm", new Random(seed));
    expect(await ended(replayRun(runDir))).toMatchObject({ code: 0 });
  }
});
