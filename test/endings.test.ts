/** How a run ends is said, the same everywhere; and it touches nothing but its folder. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { begin, inspected, MAIN, summaryOf } from "./endings.fixture.js";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-endings-"));
});
afterAll(() => rm(root, { recursive: true }));

test("a run that was halted says so, with exit code 3, and can be resumed to its end", async () => {
  const run = await begin(root, "halted", ["--epochs", "20"]);
  await kasmina(["emergency", "halt", "--run-dir", "halted"], root);
  expect(await run.ended).toBe(3);
  expect(await summaryOf(root, "halted")).toMatchObject({ ended: "halted", accuracy: expect.any(Number) });
  expect(await inspected(root, "halted")).toMatchObject({ ended: "halted" });
  expect((await kasmina(["report", "halted"], root)).code).toBe(0);
  expect(await readFile(join(root, "halted", "report.html"), "utf8")).toContain("· halted ·");
  const resumed = await kasmina(["grow", "--resume", "halted", "--quiet"], root);
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).toMatch(/^resumed /);
  expect(await summaryOf(root, "halted")).toMatchObject({ ended: "finished" });
  expect((await kasmina(["replay", "halted"], root)).stdout).toContain("the same to the last bit");
});

describe("ONNX Runtime's telemetry", () => {
  test.runIf(existsSync("/usr/bin/strace"))(
    "no socket leaves the machine, nothing is opened for writing elsewhere",
    async () => {
      const trace = join(root, "trace.txt");
      const { CI: _, ...env } = process.env;
      const strace = ["-f", "-qq", "-e", "trace=network,openat", "-o", trace, process.execPath, MAIN];
      const args = [
        "grow",
        "--data",
        "spirals",
        "--engine",
        "native",
        "--threads",
        "1",
        "--epochs",
        "1",
        "--policy",
        "epoch:1",
        "--run-dir",
        "traced",
      ];
      const child = spawn("strace", [...strace, ...args], { cwd: root, stdio: "ignore", env });
      expect((await once(child, "exit"))[0]).toBe(0);
      const lines = (await readFile(trace, "utf8")).split("\n");
      expect(lines.filter((line) => /AF_INET|AF_NETLINK/.test(line))).toEqual([]);
      const written = lines.filter(
        (line) => /openat\(.*O_(WRONLY|RDWR|CREAT)/.test(line) && !/= -1 /.test(line),
      );
      const outside = written.filter(
        (line) => !line.includes(join(root, "traced")) && !/"(\/dev\/|\/proc\/)/.test(line),
      );
      expect(outside).toEqual([]);
      expect(written.length).toBeGreaterThan(3);
    },
  );
});
