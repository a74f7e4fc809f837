import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ended, epochOf, replayRun, resumeRun, startRun, tensorsDigest } from "./resume.fixture.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-resume-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("a run that is killed and resumed ends like one that never stopped, and so does its replay", async () => {
  const whole = join(root, "whole");
  expect(await ended(startRun(whole, { epochs: 5 }))).toMatchObject({ code: 0 });

  const cut = join(root, "cut");
  const child = startRun(cut, { epochs: 5 });
  const end = ended(child);
  while (epochOf(cut) < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill("SIGKILL");
  expect(await end).toMatchObject({ code: "SIGKILL" });

  expect(await ended(resumeRun(cut))).toMatchObject({ code: 0 });
  expect(tensorsDigest(cut)).toBe(tensorsDigest(whole));
  expect(await ended(replayRun(cut))).toMatchObject({ code: 0 });

  const again = await ended(resumeRun(cut));
  expect(again.code).toBe(2);
  expect(again.stderr).toContain("has ended");

  const losses = await readFile(join(cut, "losses.f32"));
  losses.writeFloatLE(0.5, 4 * 100);
  await writeFile(join(cut, "losses.f32"), losses);
  expect(await ended(replayRun(cut))).toMatchObject({ code: 1 });
}, 300_000);
