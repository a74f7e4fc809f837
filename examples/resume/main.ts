/** Keeps a run in a folder, stops in the middle, and goes on with it to the same end. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grow } from "kasmina";

const runDir = join(await mkdtemp(join(tmpdir(), "kasmina-")), "run");
const stop = new AbortController();

export const first = await grow({
  data: "spirals",
  epochs: 6,
  runDir,
  signal: stop.signal,
  onEpoch: ({ epoch }) => {
    if (epoch === 3) stop.abort(); // or the machine goes down: the last checkpoint is there
  },
});
console.log(first.ended, first.steps);

export const run = await grow({ resume: runDir });
console.log(run.ended, run.steps, run.accuracy);
