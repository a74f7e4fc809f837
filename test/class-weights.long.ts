/** Classes of very different sizes: what weights do to what is learned, and to what is grown. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-weights-"));
});
afterAll(() => rm(root, { recursive: true }));

test("balanced classes find the rare one, and the run is done again to the last bit", async () => {
  // The rare class lies among rows of the usual one.
  const rows = Array.from({ length: 1_000 }, (_, i) =>
    i % 50 === 0 ? `${1.2 + Math.sin(i) / 2},rare` : `${Math.sin(i)},usual`,
  );
  await writeFile(join(root, "hidden.csv"), `x,class\n${rows.join("\n")}\n`);
  const grown = async (folder: string, ...more: string[]) => {
    const data = [
      "--data",
      "csv:hidden.csv?label=class",
      "--engine",
      "wasm",
      "--epochs",
      "12",
      "--lr",
      "0.02",
      "--policy",
      "epoch:1",
    ];
    await kasmina(["grow", ...data, ...more, "--run-dir", folder, "--quiet"], root);
    return JSON.parse(await readFile(join(root, folder, "summary.json"), "utf8")).metrics as {
      confusion: number[][];
      balanced_accuracy: number;
    };
  };
  const [plain, balanced] = [await grown("plain"), await grown("balanced", "--class-weights", "balanced")];
  const recall = ({ confusion: [rare = []] }: typeof plain) =>
    (rare[0] ?? 0) / ((rare[0] ?? 0) + (rare[1] ?? 0));
  expect(recall(balanced)).toBeGreaterThan(recall(plain));
  expect(balanced.balanced_accuracy).toBeGreaterThan(plain.balanced_accuracy + 0.15);
  const replay = await kasmina(["replay", "balanced"], root);
  expect([replay.code, replay.stdout + replay.stderr]).toEqual([
    0,
    expect.stringContaining("the same to the last bit"),
  ]);
  const moved = await grown("moved", "--threshold", "balanced_accuracy");
  expect(moved.balanced_accuracy).toBeGreaterThan(plain.balanced_accuracy + 0.1);
  const { threshold } = JSON.parse(await readFile(join(root, "moved", "summary.json"), "utf8"));
  // `usual` is the second: it is said where it is all but certain.
  expect(threshold).toBeGreaterThan(0.5);
  await kasmina(["export", "moved", "--onnx", "moved.onnx"], root);
  const said = async (of: string) =>
    (await kasmina(["predict", of, "--data", "csv:hidden.csv"], root)).stdout;
  const names = (table: string) => table.split("\n").map((row) => row.split(",")[0]);
  expect(names(await said("moved.onnx"))).toEqual(names(await said("moved")));
  expect(names(await said("moved"))).not.toEqual(names(await said("plain")));
  const three = await kasmina(["grow", "--data", "spirals", "--threshold", "f2", "--run-dir", "none"], root);
  expect([three.code, three.stderr]).toEqual([
    2,
    expect.stringContaining("threshold must be one of balanced_accuracy, f1"),
  ]);
});
