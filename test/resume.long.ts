import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { ended, hasCheckpoint, resumeRun, startRun, tensorsDigest } from "./resume.fixture.js";

const KILLS = 50;

test(`killed at ${KILLS} random moments, a run always resumes and ends like one that never stopped`, async () => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-kills-"));
  const random = new Random(1);
  const whole = join(root, "whole");
  expect(await ended(startRun(whole))).toMatchObject({ code: 0 });
  let kills = 0;
  for (let run = 0; kills < KILLS; run++) {
    const runDir = join(root, `run-${run}`);
    for (let done = false; !done; ) {
      const child = hasCheckpoint(runDir) ? resumeRun(runDir) : startRun(join(root, `run-${run}`));
      const end = ended(child);
      const delayMs = 400 + random.below(4_000);
      const timer = kills < KILLS ? setTimeout(() => child.kill("SIGKILL"), delayMs) : undefined;
      const { code, stderr } = await end;
      clearTimeout(timer);
      if (code === "SIGKILL") kills++;
      else expect({ code, stderr }).toMatchObject({ code: 0 });
      done = code === 0;
      if (code === "SIGKILL" && !hasCheckpoint(runDir)) await rm(runDir, { recursive: true, force: true });
    }
    expect(tensorsDigest(runDir)).toBe(tensorsDigest(whole));
  }
  await rm(root, { recursive: true, force: true });
});
