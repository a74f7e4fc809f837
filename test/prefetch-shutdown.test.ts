/** A process with 1,000 kernel requests outstanding, through the built package. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const script = new URL("prefetch-shutdown.mjs", import.meta.url).pathname;

async function run(...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { timeout: 150_000 });
  return JSON.parse(stdout);
}

test("closing reports each of 1,000 as canceled, leaves nothing, and the process ends", async () => {
  expect(await run("close")).toMatchObject({
    names: { prefetch_requested: 1000, prefetch_canceled: 1000 },
    inflight: 0,
    outstanding: 0,
    settled: 1000,
    canceled: 1000,
  });
});

test("a process ends by itself even if nobody closes", async () => {
  expect(await run()).toMatchObject({ inflight: 1000, names: { prefetch_requested: 1000 } });
});
