import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../cli.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-report-cli-"));
});
afterAll(() => rm(root, { recursive: true }));

async function report(...args: string[]) {
  const said = { out: "", err: "" };
  const code = await runCli(["report", ...args], {
    stdout: {
      write: (text) => {
        said.out += text;
      },
    },
    stderr: {
      write: (text) => {
        said.err += text;
      },
    },
    env: {},
    onSignal: () => () => undefined,
    exitNow: () => undefined,
  });
  return { code, ...said };
}

test("writes the page beside the run, or where it is told to", async () => {
  await writeFile(join(root, "run.json"), JSON.stringify({ run_id: "r1", config: { host: "resmlp" } }));
  const page = join(root, "report.html");
  expect(await report(root)).toEqual({ code: 0, out: `${page}\n`, err: "" });
  expect(await readFile(page, "utf8")).toMatch(/^<!doctype html>.*resmlp/s);
  const other = join(root, "other.html");
  expect((await report(root, "--out", other)).out).toBe(`${other}\n`);
  expect(await readFile(other, "utf8")).toBe(await readFile(page, "utf8"));
});

test("says where there is no run, and where nothing can be written", async () => {
  const nowhere = join(root, "nowhere");
  expect(await report(nowhere)).toMatchObject({
    code: 2,
    err: `kasmina: ${nowhere} holds no run: no run.json in it\n`,
  });
  const { code, err } = await report(root, "--out", join(nowhere, "page.html"));
  expect([code, err.split(":").slice(0, 2).join(":")]).toEqual([
    1,
    `kasmina: cannot write ${nowhere}/page.html`,
  ]);
});
