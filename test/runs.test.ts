/** `kasmina runs` and `kasmina compare` on the run folders that are kept as fixtures, and on folders that are none. */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

const FIXTURES = new URL("./fixtures/run-folders/", import.meta.url).pathname;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-runs-"));
  await cp(FIXTURES, join(root, "runs"), { recursive: true });
  await mkdir(join(root, "runs", "notes"));
  await writeFile(join(root, "runs", "a file"), "");
  await symlink("ended", join(root, "runs", "a link"));
});
afterAll(() => rm(root, { recursive: true }));

test("the runs of a folder, what is none passed over", async () => {
  const { code, stdout, stderr } = await kasmina(["runs"], root);
  expect([code, stderr]).toEqual([0, ""]);
  const [header, ...rows] = stdout.trimEnd().split("\n");
  expect(header).toMatch(/^run +state +data +host +seed +test accuracy +parameters +computed$/);
  expect(rows).toEqual([
    expect.stringMatching(/^runs\/ended +finished +spirals +resmlp +0 +\d+\.\d+ % +[\d,]+ +[\d.]+ [MG]FLOP$/),
    expect.stringMatching(/^runs\/stopped +stopped +spirals +resmlp +0 +– +– +–$/),
  ]);
  const lines = (await kasmina(["runs", "--json"], root)).stdout.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { path: "runs/ended", state: "finished", summary: { type: "summary" } },
    { path: "runs/stopped", state: "stopped", summary: null },
  ]);
});

test("one that cannot be read is named, and the others are listed", async () => {
  const folder = join(root, "some");
  await cp(join(root, "runs", "ended"), join(folder, "good"), { recursive: true });
  await cp(join(root, "runs", "ended"), join(folder, "bad"), { recursive: true });
  await writeFile(join(folder, "bad", "run.json"), '{"run_id": "\u001b[2J"');
  const { code, stdout, stderr } = await kasmina(["runs", "some"], root);
  expect([code, stdout]).toEqual([1, expect.stringContaining("some/good")]);
  expect(stderr).toMatch(/^kasmina: bad: .*is not JSON.*\n$/);
  expect((await kasmina(["runs", "nowhere"], root)).stderr).toBe("kasmina: there is no folder nowhere\n");
});

test("what sets two runs apart: what they were asked for, then what came of it", async () => {
  const other = join(root, "other");
  await cp(join(root, "runs", "stopped"), other, { recursive: true });
  const about = JSON.parse(await readFile(join(other, "run.json"), "utf8")) as { config: object };
  const config = { ...about.config, seed: 7, slots: ["block1"] };
  await writeFile(join(other, "run.json"), JSON.stringify({ ...about, config }));
  const { code, stdout } = await kasmina(["compare", "runs/ended", "other"], root);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ +runs\/ended +other\nseed +0 +7\nslots +– +\["block1"\]\n/);
  expect(stdout).not.toMatch(/runId|runDir|optimizer/);
  expect(stdout).toMatch(/\nstate +finished +stopped\ntest accuracy +\d+\.\d+ % +–\n/);
  const same = await kasmina(["compare", "runs/ended", "runs/ended", "--json"], root);
  expect(JSON.parse(same.stdout)).toMatchObject({ differences: {}, runs: [{}, {}] });
  expect((await kasmina(["compare", "runs/ended"], root)).stderr).toMatch(/name two runs or more/);
});
