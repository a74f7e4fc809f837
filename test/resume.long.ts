import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { ended, hasCheckpoint, resumeRun, startRun, tensorsDigest } from "./resume.fixture.js";

const KILLS = 50;
/** From a process that has hardly begun to one that is near its end. */
const KILL_AFTER_MS = [400, 4_400] as const;

/** Starts or resumes the run once; returns whether it was killed before its end. */
async function goOn(runDir: string, killAfterMs: number | undefined): Promise<boolean> {
  const child = hasCheckpoint(runDir) ? resumeRun(runDir) : startRun(runDir);
  const end = ended(child);
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  const { code, stderr } = await end;
  clearTimeout(timer);
  if (code !== "SIGKILL") expect({ code, stderr }).toMatchObject({ code: 0 });
  else if (!hasCheckpoint(runDir)) await rm(runDir, { recursive: true, force: true });
  return code === "SIGKILL";
}

test(`killed at ${KILLS} random moments, a run always resumes and ends like one that never stopped`, async () => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-kills-"));
  const random = new Random(1);
  const whole = join(root, "whole");
  expect(await ended(startRun(whole))).toMatchObject({ code: 0 });
  const killAfterMs = () => KILL_AFTER_MS[0] + random.below(KILL_AFTER_MS[1] - KILL_AFTER_MS[0]);
  let kills = 0;
  for (let run = 0; kills < KILLS; run++) {
    const runDir = join(root, `run-${run}`);
    while (await goOn(runDir, kills < KILLS ? killAfterMs() : undefined)) kills++;
    expect(tensorsDigest(runDir)).toBe(tensorsDigest(whole));
  }
  await rm(root, { recursive: true, force: true });
});
