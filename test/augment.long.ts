/** A run whose images are changed as they are learned from sees the same ones, whether it was stopped in between or not. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { kasmina, start } from "./kasmina.js";
import { epochOf, tensorsDigest } from "./resume.fixture.js";

const SIZE = 8;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-augment-"));
  await writeImages("train", 320);
  await writeImages("t10k", 40);
});
afterAll(() => rm(root, { recursive: true }));

/** IDX files of bars that stand or lie: every change of one is another image. */
async function writeImages(part: string, count: number): Promise<void> {
  const random = new Random(count);
  const images = new Uint8Array(count * SIZE * SIZE);
  for (let i = 0; i < count; i++) {
    const place = Math.floor(random.uniform() * SIZE);
    for (let k = 0; k < SIZE; k++)
      images[i * SIZE * SIZE + (i % 2 === 0 ? k * SIZE + place : place * SIZE + k)] =
        100 + Math.floor(150 * random.uniform());
  }
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 2);
  await writeFile(join(root, `${part}-images-idx3-ubyte`), idx([count, SIZE, SIZE], images));
  await writeFile(join(root, `${part}-labels-idx1-ubyte`), idx([count], labels));
}

function idx(shape: readonly number[], values: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  shape.forEach((size, i) => {
    header.writeUInt32BE(size, 4 + 4 * i);
  });
  return Buffer.concat([header, values]);
}

test("killed and resumed it ends with the bits of a run that was not, and so does its replay", async () => {
  const grow = (folder: string, ...augment: string[]): string[] => [
    ...["grow", "--data", `idx:${root}`, "--host", "resconv:width=4,blocks=1", "--engine", "wasm"],
    ...["--epochs", "6", "--batch", "16", "--policy", "epoch:2", "--latency-budget", "600000", "--quiet"],
    ...["--run-dir", folder, ...augment],
  ];
  const changed = ["--augment", "flip,crop,shift"];
  const [whole, cut, plain] = ["whole", "cut", "plain"].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  expect(await kasmina(grow(whole, ...changed), root)).toMatchObject({ code: 0 });
  expect(await kasmina(grow(plain), root)).toMatchObject({ code: 0 });
  expect(tensorsDigest(whole)).not.toBe(tensorsDigest(plain));

  const { child, finished } = start(grow(cut, ...changed), root);
  while (epochOf(cut) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGKILL");
  expect((await finished).code).toBeNull();
  expect(await kasmina(["grow", "--resume", cut, "--quiet"], root)).toMatchObject({ code: 0 });
  expect(tensorsDigest(cut)).toBe(tensorsDigest(whole));
  expect((await kasmina(["replay", cut], root)).stdout).toContain("the same to the last bit");
}, 300_000);
