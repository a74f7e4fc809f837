import { randomUUID } from "node:crypto";
import {
  cp,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { diskFiles, type FileOperations } from "../base/disk/index.node.js";
import { builtinBlueprints, initKernel } from "../nn/index.js";
import { type Artifact, packArtifact } from "./artifact.js";
import { readArtifactFolder } from "./artifact-folder.js";
import { Catalog } from "./store.js";

function artifactOf(rank: number, initSeed = 1): Artifact {
  const blueprint = builtinBlueprints.get("low-rank");
  return packArtifact({
    blueprint: "low-rank",
    parameters: { rank },
    form: "delta",
    slotShape: [3],
    tensors: initKernel(blueprint, [3], { rank }, initSeed),
    prewarm: { p50Ms: 1, p95Ms: 2, batch: 1, engine: "test" },
    creator: "test",
    origin: { kind: "built", initSeed },
  });
}

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-catalog-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("a catalog", () => {
  test("gives back what was published, verified", async () => {
    const catalog = await Catalog.open(root);
    const artifact = artifactOf(2);
    const { ref } = await catalog.publish(artifact);
    expect(ref).toBe(`low-rank/${artifact.sha256}`);
    const kernel = await catalog.read(ref, artifact.sha256);
    expect(kernel).toMatchObject({
      blueprintId: "low-rank",
      parameters: { rank: 2 },
      form: "delta",
      sha256: artifact.sha256,
      prewarmP50Ms: 1,
      prewarmP95Ms: 2,
      fallbackUsed: false,
    });
    expect(kernel.tensors).toEqual(initKernel(builtinBlueprints.get("low-rank"), [3], { rank: 2 }, 1));
    expect(await catalog.verify()).toEqual([{ ref }]);
  });

  test("publishing twice is publishing once", async () => {
    const catalog = await Catalog.open(root);
    await catalog.publish(artifactOf(2));
    await Promise.all([catalog.publish(artifactOf(2)), catalog.publish(artifactOf(2))]);
    expect((await catalog.list()).entries).toHaveLength(1);
    expect(await readdir(join(root, ".staging"))).toEqual([]);
  });

  test("finds what was built of exactly the wanted things, from another process too", async () => {
    const catalog = await Catalog.open(root);
    const wanted = { blueprintId: "low-rank", parameters: { rank: 2 }, slotShape: [3], initSeed: 1 };
    expect(await catalog.find(wanted)).toBeUndefined();
    const other = await Catalog.open(root);
    await other.publish(artifactOf(2));
    await other.publish(artifactOf(3));
    await other.publish(artifactOf(2, 5));
    expect((await catalog.find(wanted))?.sha256).toBe(artifactOf(2).sha256);
    expect((await catalog.find({ ...wanted, initSeed: 5 }))?.sha256).toBe(artifactOf(2, 5).sha256);
    for (const change of [
      { slotShape: [4] },
      { parameters: { rank: 4 } },
      { blueprintId: "x" },
      { initSeed: 9 },
    ])
      expect(await catalog.find({ ...wanted, ...change })).toBeUndefined();
  });

  test("an artifact that went bad is not found, not read, named by verify, and set aside for a sound one", async () => {
    const catalog = await Catalog.open(root);
    const artifact = artifactOf(2);
    const { ref, sha256 } = await catalog.publish(artifact);
    const wanted = { blueprintId: "low-rank", parameters: { rank: 2 }, slotShape: [3], initSeed: 1 };
    expect(await catalog.find(wanted)).toBeDefined();
    const path = join(root, ref, "weights.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect(await catalog.find(wanted)).toBeUndefined();
    await expect(catalog.read(ref, sha256)).rejects.toMatchObject({ code: "corrupt" });
    await expect(catalog.get("low-rank", sha256)).rejects.toMatchObject({ code: "corrupt" });
    expect(await catalog.verify()).toEqual([{ ref, problem: expect.stringContaining("SHA-256") }]);
    await catalog.publish(artifact);
    expect(await catalog.verify()).toEqual([{ ref }]);
    expect((await catalog.find(wanted))?.sha256).toBe(sha256);
    expect(await readdir(join(root, ".damaged"))).toEqual([expect.stringContaining(sha256)]);
  });

  test.each([
    ["../low-rank", "/etc/passwd"],
    ["low-rank/../..", ""],
    ["low-rank", ""],
    ["Low-Rank", `/${"a".repeat(64)}`],
    ["low-rank", `/${"a".repeat(64)}/x`],
    ["low-rank", `/${"A".repeat(64)}`],
  ])("no reference leads outside: %s%s", async (folder, rest) => {
    const catalog = await Catalog.open(root);
    await expect(catalog.read(folder + rest, "a".repeat(64))).rejects.toMatchObject({ code: "corrupt" });
  });

  test("a reference to another digest than wanted is refused before anything is read", async () => {
    const catalog = await Catalog.open(root);
    const { ref } = await catalog.publish(artifactOf(2));
    await expect(catalog.read(ref, "b".repeat(64))).rejects.toMatchObject({ code: "corrupt" });
  });

  test("an artifact in the folder of another blueprint is refused", async () => {
    const catalog = await Catalog.open(root);
    const { ref, sha256 } = await catalog.publish(artifactOf(2));
    await mkdir(join(root, "mlp-residual"));
    await cp(join(root, ref), join(root, "mlp-residual", sha256), { recursive: true });
    await expect(catalog.read(`mlp-residual/${sha256}`, sha256)).rejects.toThrow(/is a kernel of low-rank/);
  });

  test.each<[string, (folder: string) => Promise<void>, RegExp]>([
    [
      "a file of 3 GiB",
      (folder) => truncate(join(folder, "weights.safetensors"), 3 * 2 ** 30),
      /are allowed/,
    ],
    ["a manifest of 1 MiB", (folder) => truncate(join(folder, "manifest.json"), 2 ** 20), /are allowed/],
    ["a file missing", (folder) => rm(join(folder, "manifest.json")), /cannot read/],
    [
      "a link",
      async (folder) => {
        await rm(join(folder, "manifest.json"));
        await symlink("/etc/hostname", join(folder, "manifest.json"));
      },
      /manifest\.json/,
    ],
    [
      "a folder in place of a file",
      async (folder) => {
        await rm(join(folder, "manifest.json"));
        await mkdir(join(folder, "manifest.json"));
      },
      /manifest\.json/,
    ],
  ])("refuses %s, and allocates nothing for it", async (_name, spoil, message) => {
    const catalog = await Catalog.open(root);
    const { ref, sha256 } = await catalog.publish(artifactOf(2));
    await spoil(join(root, ref));
    const before = process.memoryUsage().arrayBuffers;
    await expect(catalog.read(ref, sha256)).rejects.toThrow(message);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  });

  test("what is no artifact is named by verify and list, and hurts nothing else", async () => {
    const catalog = await Catalog.open(root);
    const { ref } = await catalog.publish(artifactOf(2));
    await writeFile(join(root, "notes.txt"), "x");
    await mkdir(join(root, "low-rank", "draft"));
    const second = await catalog.publish(artifactOf(3));
    await writeFile(join(root, second.ref, "run.js"), "");
    const checks = await catalog.verify();
    expect(Object.fromEntries(checks.map(({ ref: name, problem }) => [name, problem]))).toEqual({
      [ref]: undefined,
      [second.ref]: expect.stringContaining("run.js"),
      "low-rank/draft": expect.stringContaining("does not name an artifact"),
      "notes.txt": expect.stringContaining("does not name an artifact"),
    });
    const listing = await catalog.list();
    expect(listing.entries.map((entry) => entry.ref)).toEqual([ref, second.ref].sort());
    expect(listing.problems).toHaveLength(2);
  });

  test("an artifact from elsewhere can be read from its folder, and only whole", async () => {
    const catalog = await Catalog.open(root);
    const artifact = artifactOf(2);
    const { ref } = await catalog.publish(artifact);
    expect(await readArtifactFolder(join(root, ref))).toEqual(artifact);
    await expect(readArtifactFolder(join(root, ref), "a".repeat(64))).rejects.toThrow(/SHA-256/);
    await expect(readArtifactFolder(join(root, "none"))).rejects.toMatchObject({ code: "io" });
  });

  test("an aborted read reads nothing", async () => {
    const catalog = await Catalog.open(root);
    const { ref, sha256 } = await catalog.publish(artifactOf(2));
    await expect(catalog.read(ref, sha256, AbortSignal.abort())).rejects.toThrow();
  });

  test("a folder that cannot be a catalog is an error that says so", async () => {
    await writeFile(join(root, "file"), "");
    await expect(Catalog.open(join(root, "file"))).rejects.toMatchObject({ code: "io" });
    const missing = Catalog.open(join(root, "missing"), { create: false });
    await expect(missing).rejects.toMatchObject({ code: "invalid_argument" });
  });

  describe("that a stranger made", () => {
    test.each(["list", "verify"] as const)("is not changed by %s", async (command) => {
      await mkdir(join(root, "victim", "old"), { recursive: true });
      await symlink("victim", join(root, ".staging"));
      await symlink("victim", join(root, "low-rank"));
      const before = await readdir(root, { recursive: true });
      const catalog = await Catalog.open(root, { create: false });
      await catalog[command]();
      expect(await readdir(root, { recursive: true })).toEqual(before);
    });

    test.each(["low-rank", "."])("leads nowhere by a link at %s", async (at) => {
      const catalog = await Catalog.open(root);
      const { ref, sha256 } = await catalog.publish(artifactOf(2));
      const real = at === "." ? join(root, ref) : join(root, at);
      await rename(real, join(root, "elsewhere"));
      await symlink(join(root, "elsewhere"), real);
      await expect(catalog.read(ref, sha256)).rejects.toThrow(/is a link/);
    });

    test("publishes nothing through its links", async () => {
      await mkdir(join(root, "victim"));
      await symlink("victim", join(root, ".staging"));
      const catalog = await Catalog.open(root);
      await expect(catalog.publish(artifactOf(2))).rejects.toThrow(/\.staging is a link/);
      expect(await readdir(join(root, "victim"))).toEqual([]);
    });
  });

  test("whoever publishes removes old remains of a crash, and nothing that is not named by us", async () => {
    const staging = join(root, ".staging");
    const [old, young, linked] = [randomUUID(), randomUUID(), randomUUID()];
    for (const name of [old, young, "somebody's"]) await mkdir(join(staging, name), { recursive: true });
    await symlink(join(staging, young), join(staging, linked));
    const long = new Date(Date.now() - 2 * 60 * 60 * 1000);
    for (const name of [old, "somebody's"]) await utimes(join(staging, name), long, long);
    await lutimes(join(staging, linked), long, long);
    const catalog = await Catalog.open(root);
    expect(await readdir(staging)).toContain(old);
    await catalog.publish(artifactOf(2));
    expect((await readdir(staging)).sort()).toEqual([young, linked, "somebody's"].sort());
  });
});

/** Disk operations that fail at the `stopAt`-th call, with half of what was to be written on the disk. */
function failingFiles(stopAt: number): FileOperations & { calls(): number } {
  let calls = 0;
  const act = async (work: () => Promise<void>, half: () => Promise<void>): Promise<void> => {
    calls++;
    if (calls < stopAt) return work();
    if (calls === stopAt) await half();
    throw new Error("the disk is gone");
  };
  return {
    calls: () => calls,
    writeSynced: (path, bytes) =>
      act(
        () => diskFiles.writeSynced(path, bytes),
        () => writeFile(path, bytes.subarray(0, bytes.length / 2)),
      ),
    rename: (from, to) =>
      act(
        () => diskFiles.rename(from, to),
        async () => {},
      ),
    remove: diskFiles.remove,
    syncFolder: (path) =>
      act(
        () => diskFiles.syncFolder(path),
        async () => {},
      ),
  };
}

describe("publication", () => {
  test("fails cleanly at every operation of the disk, and succeeds afterwards", async () => {
    const first = await (await Catalog.open(root)).publish(artifactOf(1));
    let stops = 0;
    for (let stopAt = 1, failed = true; failed; stopAt++) {
      const catalog = await Catalog.open(root, { files: failingFiles(stopAt) });
      failed = await catalog.publish(artifactOf(2)).then(
        () => false,
        (error) => {
          expect(error).toMatchObject({ code: "io" });
          return true;
        },
      );
      if (failed) stops++;
      const checks = await catalog.verify();
      expect(checks.filter(({ problem }) => problem !== undefined)).toEqual([]);
      expect(checks).toContainEqual({ ref: first.ref });
      if (failed) await rm(join(root, "low-rank", artifactOf(2).sha256), { recursive: true, force: true });
    }
    expect(stops).toBe(6);
    expect((await (await Catalog.open(root)).list()).entries).toHaveLength(2);
  });
});
