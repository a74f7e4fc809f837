/** The trainer's thread, through the built package: a worker needs JavaScript. */
import { describe, expect, test } from "vitest";
import type { GrowthLine, Summary } from "../src/weatherlight/folder/growth-lines.js";

const { growInWorker } = (await import(
  new URL("../dist/weatherlight/run/grow-in-worker.js", import.meta.url).href
)) as typeof import("../src/weatherlight/run/grow-in-worker.js");

const runner = new URL("./fixtures/runners.mjs", import.meta.url).href;

function run(way: string, stopAfterLines = Number.POSITIVE_INFINITY) {
  const lines: GrowthLine[] = [];
  const controller = new AbortController();
  const onLine = (line: GrowthLine): void => {
    if (lines.push(line) === stopAfterLines) controller.abort();
  };
  return { lines, result: growInWorker({ way }, { onLine, signal: controller.signal }, runner) };
}

describe("a growth run in a worker", () => {
  test("hands lines and summary over", async () => {
    const { lines, result } = run("done");
    expect(await result).toMatchObject({ run_id: "fixture" } satisfies Partial<Summary>);
    expect(lines).toMatchObject([
      { type: "notice", text: "hello" },
      { type: "summary", run_id: "fixture" },
    ]);
  });

  test("an error keeps its code and details", async () => {
    await expect(run("refused").result).rejects.toMatchObject({
      name: "KasminaError",
      code: "invalid_argument",
      message: "no such way",
      details: { key: "way", problem: "is bad" },
    });
  });

  test("a bug is an error with the trainer's stack", async () => {
    await expect(run("bug").result).rejects.toMatchObject({ stack: expect.stringContaining("runners.mjs") });
  });

  test("a thread that ends without a word is an error", async () => {
    await expect(run("exits").result).rejects.toThrow("ended without a result (exit code 3)");
  });

  test.each(["spins", "waits"])("a trainer that %s notices the stop", async (way) => {
    await expect(run(way, 1).result).rejects.toMatchObject({ code: "canceled" });
  });

  test("a module that is not there is an error", async () => {
    await expect(growInWorker({}, {}, "file:///nowhere.mjs")).rejects.toThrow("nowhere.mjs");
  });
});
