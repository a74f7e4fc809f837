/** A network that is not finite is right about nothing, and nobody gets it without an error. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-wrecked-"));
});
afterAll(() => rm(root, { recursive: true }));

describe.each(["wasm", "native"])("a run that wrecks its network in its last step on %s", (engine) => {
  const folder = `run-${engine}`;
  const wreck = ["--no-growth", "--optimizer", "sgd", "--lr", "1e30", "--batch", "1800", "--epochs", "1"];

  test("fails, now and at every resume, and writes no report", async () => {
    const args = ["grow", "--data", "spirals", "--engine", engine, ...wreck, "--run-dir", folder];
    const first = await kasmina(args, root);
    expect([first.code, first.stdout]).toEqual([1, ""]);
    expect(first.stderr).toMatch(/kasmina: the trained network is wrecked: its loss on the test rows is/);
    const again = await kasmina(["grow", "--resume", folder], root);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/the trained network is wrecked/);
    expect(await readdir(join(root, folder))).not.toContain("summary.json");
  });

  test("inspect says so; export and teaching refuse it", async () => {
    const inspected = await kasmina(["inspect", folder, "--json"], root);
    expect(inspected.code).toBe(1);
    expect(inspected.stderr).toMatch(/the network is wrecked: /);
    expect(JSON.parse(inspected.stdout).checkpoint).toMatchObject({
      valid: true,
      wrecked: "its loss on the held-out rows is not finite",
    });
    for (const format of ["--onnx", "--safetensors"]) {
      const exported = await kasmina(["export", folder, format, "net"], root);
      expect(exported.code).toBe(1);
      expect(exported.stderr).toMatch(/the network is wrecked: its loss/);
    }
    const taught = await kasmina(["grow", "--data", "spirals", "--teacher", folder], root);
    expect(taught.code).toBe(1);
    expect(await readdir(root)).not.toContain("net");
  });
});
