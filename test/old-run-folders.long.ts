/**
 * Run folders of the version before: they are inspected, reported and exported as if they were new. Their journals keep no
 * signed envelopes, so a run that stopped goes on as a new run, with `--adopt`. Replayed, they take the same commands at the
 * same steps; the bits are others, since the optimizers compute in another order than that version's.
 */
import { chmod, cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

const fixtures = new URL("./fixtures/run-folders/", import.meta.url).pathname;

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-old-"));
  for (const name of ["ended", "stopped"]) {
    await cp(join(fixtures, name), join(root, name), { recursive: true });
    await chmod(join(root, name, "control.keys"), 0o600); // which a repository does not keep
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("one that ended is whole, and takes its commands once more", async () => {
  const { stdout } = await kasmina(["inspect", "ended", "--json"], root);
  expect(JSON.parse(stdout)).toMatchObject({
    ended: "finished",
    host: "resmlp",
    checkpoint: { valid: true },
  });
  const replayed = await kasmina(["replay", "ended", "--json"], root);
  expect(JSON.parse(replayed.stdout)).toMatchObject({ steps: 288, commands: 4 });
});

test("one that stopped goes on to its end as a new run, once that is asked for", async () => {
  expect(await kasmina(["grow", "--quiet", "--resume", "stopped"], root)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("--adopt"),
  });
  const resumed = await kasmina(["grow", "--quiet", "--resume", "stopped", "--adopt"], root);
  expect(resumed.code, resumed.stderr).toBe(0);
  const summary = JSON.parse(await readFile(join(root, "stopped", "summary.json"), "utf8"));
  expect(summary).toMatchObject({ epochs: 8, host: "resmlp", data: "spirals" });
  expect(summary.accuracy).toBeGreaterThan(0.7);
});

test.each(["ended", "stopped"])("%s is reported and exported", async (name) => {
  expect(await kasmina(["report", name], root)).toMatchObject({ code: 0 });
  expect(await readFile(join(root, name, "report.html"), "utf8")).toContain("resmlp");
  const files = ["--onnx", `${name}.onnx`, "--safetensors", `${name}.safetensors`];
  expect(await kasmina(["export", name, ...files], root)).toMatchObject({ code: 0, stdout: "" });
  expect((await readFile(join(root, `${name}.onnx`))).length).toBeGreaterThan(1000);
});
