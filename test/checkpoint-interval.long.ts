/** A run that is killed within an epoch goes on from a checkpoint of that epoch, and ends as if nothing had happened. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ended,
  hasCheckpoint,
  hasEnded,
  replayRun,
  resumeRun,
  startRun,
  tensorsDigest,
} from "./resume.fixture.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-interval-"));
  const words = ["seed", "slot", "gate", "kernel", "blend", "host"];
  const text = Array.from({ length: 4_000 }, (_, i) => words[(i * i + 3 * i) % words.length]).join(" ");
  await writeFile(join(root, "words.txt"), text);
});
afterAll(() => rm(root, { recursive: true }));

interface Meta {
  readonly epoch_start: boolean;
  readonly network: { readonly step: number };
}

function metaOf(runDir: string): Meta {
  const text = readFileSync(join(runDir, "checkpoint", "checkpoint.json"), "utf8");
  return (JSON.parse(text) as { content: { meta: Meta } }).content.meta;
}

const isWithinEpoch = (runDir: string): boolean => hasCheckpoint(runDir) && !metaOf(runDir).epoch_start;

/** An epoch of spirals takes less than a second: only steps come within it. */
describe.each([
  ["a text of one epoch", { epochs: 1, more: ["--data", "text:words.txt"], intervals: ["11steps", "1s"] }],
  ["a run that grows", { epochs: 8, more: ["--data", "spirals"], intervals: ["11steps"] }],
])("%s", (name, { epochs, more, intervals }) => {
  test.each(intervals)("every %s, killed again and again", async (interval) => {
    const data = more.map((one) => one.replace("words.txt", join(root, "words.txt")));
    const whole = join(root, `${name}-${interval}-whole`);
    expect(
      await ended(startRun(whole, { epochs, more: [...data, "--checkpoint-every", "1h"] })),
    ).toMatchObject({
      code: 0,
    });
    const cut = join(root, `${name}-${interval}-cut`);
    let child = startRun(cut, { epochs, more: [...data, "--checkpoint-every", interval] });
    let step = 0;
    for (let kills = 0; kills < 3; kills++) {
      const end = ended(child);
      while (child.exitCode === null && !(isWithinEpoch(cut) && metaOf(cut).network.step > step))
        await sleep(5);
      child.kill("SIGKILL");
      await end;
      if (hasEnded(cut)) break;
      step = metaOf(cut).network.step;
      child = resumeRun(cut);
    }
    expect(step).toBeGreaterThan(0);
    if (!hasEnded(cut)) expect(await ended(child)).toMatchObject({ code: 0 });
    expect(tensorsDigest(cut)).toBe(tensorsDigest(whole));
    expect(await ended(replayRun(cut))).toMatchObject({ code: 0 });
  });
});
