/** Many processes that want to go on with one run at once, while some are killed and some suspended. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../src/base/index.js";
import { RunFolder } from "../src/weatherlight/folder/run-folder.js";

const CHILD = new URL("./lease-race.child.mjs", import.meta.url).pathname;

export interface RaceResult {
  /** Takings that wrote something. */
  readonly holders: number;
  /** Processes that were told that somebody else has the folder. */
  readonly refused: number;
  readonly killed: number;
  readonly suspended: number;
  /** Lines that an earlier taking wrote after a later one: two writers. Must be empty. */
  readonly overlaps: readonly string[];
  /** What went wrong otherwise. Must be empty. */
  readonly failures: readonly string[];
}

/** @param takers processes a round */
export async function raceForLease(rounds: number, takers: number, seed: number): Promise<RaceResult> {
  const root = await mkdtemp(join(tmpdir(), "kasmina-race-"));
  const [path, witness] = [join(root, "run"), join(root, "witness")];
  const random = new Random(seed);
  const count = { refused: 0, killed: 0, suspended: 0 };
  const failures: string[] = [];
  try {
    (await RunFolder.create(path, {})).close();
    await writeFile(witness, "");
    for (let round = 0; round < rounds; round++) {
      const children = Array.from({ length: takers }, () => start(path, witness));
      const disturbing = disturb(children, random, count);
      for (const code of await Promise.all(children.map(({ ended }) => ended))) {
        if (code === 2) count.refused++;
        if (code === 1) failures.push(`round ${round}: a process failed`);
      }
      await disturbing;
      await takeAgain(path).catch((error: unknown) => failures.push(`round ${round}: ${String(error)}`));
    }
    const lines = (await readFile(witness, "utf8")).trim().split("\n");
    return { holders: new Set(lines).size, ...count, overlaps: overlapsIn(lines), failures };
  } finally {
    await rm(root, { recursive: true });
  }
}

interface Taker {
  readonly child: ChildProcess;
  /** Its exit code; null where it was killed. */
  readonly ended: Promise<number | null>;
}

function start(path: string, witness: string): Taker {
  const child = spawn(process.execPath, [CHILD, path, witness], { stdio: ["ignore", "inherit", "inherit"] });
  return { child, ended: once(child, "exit").then(([code]) => code as number | null) };
}

async function disturb(
  takers: readonly Taker[],
  random: Random,
  count: { killed: number; suspended: number },
): Promise<void> {
  const pick = (): ChildProcess | undefined => takers[Math.floor(random.uniform() * takers.length)]?.child;
  for (let i = 0; i < 8; i++) {
    await new Promise((done) => setTimeout(done, 40 + 120 * random.uniform()));
    const child = pick();
    if (!child || child.exitCode !== null || child.signalCode !== null) continue;
    if (random.uniform() < 0.5) {
      child.kill("SIGKILL");
      count.killed++;
      continue;
    }
    child.kill("SIGSTOP");
    count.suspended++;
    setTimeout(() => child.kill("SIGCONT"), 200 + 300 * random.uniform());
  }
}

/** Whatever became of them all, the folder can be had at once. */
async function takeAgain(path: string): Promise<void> {
  (await RunFolder.reopen(path)).close();
}

/** Fences only grow: a line of an earlier taking below one of a later is a second writer. */
function overlapsIn(lines: readonly string[]): string[] {
  let highest = 0;
  const writers = new Map<number, string>();
  return lines.filter((line) => {
    const [fence = 0, pid = ""] = [Number(line.split(" ")[0]), line.split(" ")[1]];
    const isSecond = fence < highest || (writers.get(fence) ?? pid) !== pid;
    writers.set(fence, pid);
    highest = Math.max(highest, fence);
    return isSecond;
  });
}
