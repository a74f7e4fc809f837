import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diskFiles, type FileOperations } from "../../base/disk/index.node.js";
import { float32, int32 } from "../../contracts/index.js";
import { type Checkpoint, type JsonObject, readCheckpoint, writeCheckpoint } from "./checkpoint.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-checkpoint-"));
});
afterAll(() => rm(root, { recursive: true }));

const fresh = (): Promise<string> => mkdtemp(join(root, "c-"));
const numbered = (n: number): Checkpoint => ({
  tensors: { "host/w": float32([2, 2], [n, 1, 2, 3]), "host/count": int32([], [n]) },
  meta: { step: n, loss: 0.1 + n, seeds: ["s1"] },
});

test("what was written is read, bit for bit", async () => {
  const dir = await fresh();
  const bits = Float32Array.of(Number.NaN, -0, Number.POSITIVE_INFINITY, 1e-45);
  const info = await writeCheckpoint(dir, { tensors: { x: float32([4], bits) }, meta: { a: 1 } });
  const { tensors, meta, sha256 } = await readCheckpoint(dir);
  const bytesOf = (data: Float32Array) => Array.from(new Uint32Array(data.slice().buffer));
  expect(bytesOf(tensors.x?.data as Float32Array)).toEqual(bytesOf(bits));
  expect(meta).toEqual({ a: 1 });
  expect(sha256).toBe(info.sha256);
});

test("any JSON meta passes through the digest", async () => {
  const dir = await fresh();
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), async (value) => {
      const text = JSON.stringify(value);
      fc.pre(!text.includes('"__proto__":'));
      const meta = JSON.parse(text) as JsonObject;
      await writeCheckpoint(dir, { tensors: {}, meta });
      expect((await readCheckpoint(dir)).meta).toEqual(meta);
    }),
    { numRuns: 40 },
  );
});

test("the previous checkpoint is kept, older ones are gone", async () => {
  const dir = await fresh();
  await expect(readCheckpoint(dir)).rejects.toMatchObject({ code: "io" });
  for (const n of [1, 2, 3]) await writeCheckpoint(dir, numbered(n));
  expect((await readCheckpoint(dir)).meta.step).toBe(3);
  expect((await readCheckpoint(dir, "previous")).meta.step).toBe(2);
  expect(await readdir(dir)).toHaveLength(4);
});

test("meta that JSON would change is refused, and the old checkpoint stays", async () => {
  const dir = await fresh();
  await writeCheckpoint(dir, numbered(1));
  await expect(writeCheckpoint(dir, { tensors: {}, meta: { loss: Number.NaN } })).rejects.toThrow(
    "checkpoint meta: loss is NaN",
  );
  const meta = JSON.parse('{"seeds": [{"__proto__": false}]}') as JsonObject;
  await expect(writeCheckpoint(dir, { tensors: {}, meta })).rejects.toThrow("checkpoint meta: key __proto__");
  expect((await readCheckpoint(dir)).meta.step).toBe(1);
});

test("a damaged checkpoint, or one that is not wanted, does not become the previous one", async () => {
  const dir = await fresh();
  for (const n of [1, 2]) await writeCheckpoint(dir, numbered(n));
  await writeFile(join(dir, "checkpoint.json"), "{}");
  expect(await writeCheckpoint(dir, numbered(3))).toMatchObject({ previousKept: false });
  expect((await readCheckpoint(dir, "previous")).meta.step).toBe(1);
  const isKept = ({ meta }: Pick<Checkpoint, "meta">) => meta.step !== 3;
  expect(await writeCheckpoint(dir, numbered(4), { isKept })).toMatchObject({ previousKept: false });
  expect((await readCheckpoint(dir, "previous")).meta.step).toBe(1);
  expect(await writeCheckpoint(dir, numbered(5), { isKept })).toMatchObject({ previousKept: true });
  expect((await readCheckpoint(dir, "previous")).meta.step).toBe(4);
});

test("stopped at any operation, the folder holds the old checkpoint or the new one", async () => {
  for (let stopAt = 0; ; stopAt++) {
    const dir = await fresh();
    await writeCheckpoint(dir, numbered(1));
    await writeCheckpoint(dir, numbered(2));
    let done = 0;
    const step = <A extends readonly unknown[]>(run: (...args: A) => Promise<void>) => {
      return async (...args: A): Promise<void> => {
        if (done++ >= stopAt) throw new Error("power cut");
        await run(...args);
      };
    };
    const files: FileOperations = {
      // A write that is cut short leaves half of its bytes.
      writeSynced: async (path, bytes) => {
        if (done++ < stopAt) return diskFiles.writeSynced(path, bytes);
        await diskFiles.writeSynced(path, bytes.subarray(0, bytes.length / 2));
        throw new Error("power cut");
      },
      rename: step(diskFiles.rename),
      remove: step(diskFiles.remove),
      syncFolder: step(diskFiles.syncFolder),
    };
    const finished = await writeCheckpoint(dir, numbered(3), { files }).then(
      () => true,
      () => false,
    );
    const { meta } = await readCheckpoint(dir);
    expect([2, 3]).toContain(meta.step);
    if (finished) expect(meta.step).toBe(3);
    expect([1, 2]).toContain((await readCheckpoint(dir, "previous")).meta.step);
    await writeCheckpoint(dir, numbered(4));
    expect((await readCheckpoint(dir)).meta.step).toBe(4);
    expect(await readdir(dir), `stopped at ${stopAt}`).toHaveLength(4);
    if (finished) {
      expect(stopAt).toBeGreaterThan(8);
      return;
    }
  }
});

describe("nothing of a damaged checkpoint is used", () => {
  test("every byte counts, in both files", async () => {
    const dir = await fresh();
    await writeCheckpoint(dir, numbered(1));
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      const good = await readFile(path);
      // The line's end after the JSON is the one byte that carries nothing.
      const length = name.endsWith(".json") ? good.length - 1 : good.length;
      for (let at = 0; at < length; at++) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 1;
        await writeFile(path, bad);
        await expect(readCheckpoint(dir), `${name} byte ${at}`).rejects.toMatchObject({
          name: "KasminaError",
        });
      }
      await writeFile(path, good.subarray(0, good.length - 2));
      await expect(readCheckpoint(dir)).rejects.toMatchObject({ code: "corrupt" });
      await writeFile(path, good);
    }
    expect((await readCheckpoint(dir)).meta.step).toBe(1);
  });

  test("missing tensors are named", async () => {
    const dir = await fresh();
    await writeCheckpoint(dir, numbered(1));
    const name = (await readdir(dir)).find((file) => file.endsWith(".safetensors")) ?? "";
    await rm(join(dir, name));
    await expect(readCheckpoint(dir)).rejects.toThrow(`${name} is missing`);
  });
});
