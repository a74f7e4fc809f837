/** From a folder of images to answers on other ones: the run's, and those of its exported file, by the command line. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, expect, test } from "vitest";
import { imageOf, write, writeClasses } from "../src/data/images.fixture.js";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-images-"));
});
afterAll(() => rm(root, { recursive: true }));

test("a run on an image folder predicts folders and single images, as its exported file does", async () => {
  const colours = { "deep blue": "#0000ff", red: "#ff0000" };
  await writeClasses(join(root, "pictures"), colours, 40);
  const succeed = async (args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await kasmina(args, root);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const training = ["--engine", "native", "--epochs", "8", "--batch", "8", "--no-growth", "--quiet"];
  await succeed(["grow", "--data", "images:pictures?size=8", "--run-dir", "run", ...training]);
  const about = JSON.parse(await readFile(join(root, "run", "run.json"), "utf8"));
  expect(about.data.images).toEqual({ size: 8, channels: 3, mean: 0, deviation: 255, layout: "NHWC" });
  await succeed(["export", "run", "--onnx", "net.onnx"]);

  // What a replay sees of changed images is the same, to the last bit.
  await succeed([
    "grow",
    "--data",
    "images:pictures?size=8",
    "--run-dir",
    "changed",
    ...training,
    "--augment",
    "flip,crop,shift",
  ]);
  expect(await succeed(["replay", "changed"])).toContain("the same to the last bit");

  await write(join(root, "new", "b.jpg"), await imageOf("#0000ff", 7, "b.jpg"));
  await write(join(root, "new", "a.png"), await imageOf("#ff0000", 4, "a.png"));
  const predictions = async (what: string, data: string): Promise<Record<string, string>[]> =>
    parse(await succeed(["predict", what, "--data", data]), { columns: true });
  const rows = await predictions("run", "images:new");
  expect(rows.map(({ file, prediction }) => [file, prediction])).toEqual([
    ["a.png", "red"],
    ["b.jpg", "deep blue"],
  ]);
  const exported = await predictions("net.onnx", "images:new");
  expect(exported.map(({ file, prediction }) => [file, prediction])).toEqual(
    rows.map(({ file, prediction }) => [file, prediction]),
  );
  rows.forEach((row, i) => {
    expect(Number(exported[i]?.p_red)).toBeCloseTo(Number(row.p_red), 5);
  });
  expect((await predictions("run", "images:new/b.jpg")).map(({ prediction }) => prediction)).toEqual([
    "deep blue",
  ]);
  const { metrics } = JSON.parse(await succeed(["evaluate", "run", "--data", "images:pictures", "--json"]));
  expect(metrics.accuracy).toBe(1);
}, 120_000);
