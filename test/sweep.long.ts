/**
 * Two workers on one sweep, killed with `kill -9` again and again, with the processes of their runs or without: every run comes out
 * once, and bit for bit as the same run that nobody disturbed. `KASMINA_SWEEP_RUNS=40` asks for so many runs.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { kasmina, start } from "./kasmina.js";

const RUNS = Number(process.env.KASMINA_SWEEP_RUNS ?? 6);
const OPTIONS = { data: "spirals", engine: "native", threads: 1, epochs: 2 };

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-sweep-"));
  const seeds = Array.from({ length: Math.ceil(RUNS / 2) }, (_, seed) => seed);
  await writeFile(
    join(root, "s.json"),
    JSON.stringify({ options: OPTIONS, grid: { lr: [0.002, 0.005] }, seeds }),
  );
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Listed {
  readonly id: string;
  readonly state: string;
}

async function linesOf<T>(...args: string[]): Promise<T[]> {
  const { stdout, stderr, code } = await kasmina(["sweep", ...args, "--json"], root);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

/** Kills every process of a run of the sweep. */
async function killRuns(): Promise<void> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes("\0grow\0") && line.includes(root)) process.kill(Number(pid), "SIGKILL");
  }
}

/** The network and its optimizer as a run left them. */
async function digestOf(path: string): Promise<string> {
  const { content } = JSON.parse(await readFile(join(path, "checkpoint", "checkpoint.json"), "utf8"));
  return content.tensors.sha256;
}

test(`${RUNS} runs on two workers that are killed: each once, and the same bits as undisturbed`, {
  timeout: RUNS * 120_000,
}, async () => {
  const random = Random.forLabel(5, "kills");
  const begin = () => start(["worker", "sweep", "--slots", "1"], root);
  const first = start(["sweep", "s.json", "--dir", "sweep", "--slots", "1"], root);
  await expect
    .poll(() => linesOf<Listed>("status", "sweep").then(({ length }) => length), { timeout: 60_000 })
    .toBeGreaterThan(0);
  const workers = [first, begin()];
  let kills = 0;
  const finished = async () => {
    const runs = await linesOf<Listed>("status", "sweep");
    return runs.filter(({ state }) => state === "finished").length;
  };
  for (let done = 0; done < RUNS; done = await finished()) {
    await new Promise((next) => setTimeout(next, 1_000 + random.below(5_000)));
    const at = random.below(2);
    if (done < RUNS / 2 || kills < RUNS / 2) {
      workers[at]?.child.kill("SIGKILL");
      // Its run's process lives on, or dies too.
      if (random.below(2) === 0) await killRuns();
      workers[at] = begin();
      kills++;
    }
  }
  for (const { finished: ended } of workers) expect((await ended).code).toBe(0);
  expect(kills).toBeGreaterThanOrEqual(3);

  const runs = await linesOf<Listed>("status", "sweep");
  expect(runs.map(({ state }) => state)).toEqual(Array(RUNS).fill("finished"));
  const [some] = await linesOf<{ runs: number; finished: number }>("results", "sweep");
  expect(some).toMatchObject({ runs: RUNS / 2, finished: RUNS / 2 });
  for (const { id } of runs) {
    const [, variant, seed] = /v(\d+)-s(\d+)/.exec(id) ?? [];
    const options = Object.entries({ ...OPTIONS, lr: [0.002, 0.005][Number(variant)], seed });
    const args = options.flatMap(([name, value]) => [`--${name}`, String(value)]);
    const alone = await kasmina(["grow", ...args, "--run-dir", `alone-${id}`, "--quiet"], root);
    expect([alone.code, alone.stderr]).toEqual([0, ""]);
    expect(await digestOf(join(root, "sweep", id)), id).toBe(await digestOf(join(root, `alone-${id}`)));
  }
});
