/** A short soak, as `npm run soak` does a long one: faults at every port, a process that is killed, every invariant held. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const run = promisify(execFile);

test("a run of 14 epochs under injected faults ends with every invariant held", async () => {
  // Beside `build/bench`, which others may be running.
  await run("npx", ["tsc", "-p", "tsconfig.bench.json", "--outDir", "build/soak"], { cwd: root });
  const main = `${root}build/soak/bench/soak/main.js`;
  const { stdout } = await run(process.execPath, [main, "--epochs", "14", "--seed", "2", "--json"], {
    cwd: root,
    maxBuffer: 1 << 24,
  });
  const figures = JSON.parse(stdout);
  expect(figures).toMatchObject({
    steps: 504,
    problems: [],
    faults: { process_kills: 1, nan_batch: expect.any(Number), nan_memory: expect.any(Number) },
    isolation: { violations: 0, max_leak_ratio: 0 },
    commands: { unanswered: 0 },
  });
  expect(figures.commands.sent).toBeGreaterThan(30);
  expect(Object.keys(figures.rollbacks).join()).toContain("memory data_not_finite");
});

test("a flood of forged commands on top changes none of it", async () => {
  const main = `${root}build/soak/bench/soak/main.js`;
  const options = ["--epochs", "14", "--seed", "3", "--flood", "3000", "--json"];
  const { stdout } = await run(process.execPath, [main, ...options], { cwd: root, maxBuffer: 1 << 24 });
  const figures = JSON.parse(stdout);
  expect(figures).toMatchObject({ steps: 504, problems: [], commands: { unanswered: 0 } });
  expect(figures.commands.sent).toBeGreaterThan(3_000);
});
