import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalog, KernelBuilder } from "../../catalog/index.js";
import { float32, type Stage } from "../../contracts/index.js";
import { builtinBlueprints } from "../../nn/index.js";
import { harvestSeed } from "./harvest.js";
import { RunFolder } from "./run-folder.js";

let root = "";
let catalog: Catalog;
let builder: KernelBuilder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-harvest-"));
  catalog = await Catalog.open(join(root, "catalog"));
  builder = new KernelBuilder({
    catalog,
    blueprints: builtinBlueprints,
    creator: "test",
    prewarm: async () => ({ p50Ms: 1, p95Ms: 2, batch: 1, engine: "test" }),
  });
});
afterAll(() => rm(root, { recursive: true }));

const seedOf = (id: string, stage: Stage) => ({
  id,
  slotId: "block1",
  blueprintId: "low-rank",
  parameters: { rank: 3 },
  stage,
  germinationOrder: 0,
  germinatedAtStep: 0,
  blend: { mode: "CONVEX", alphaTarget: 1, schedule: { steps: 1 } },
  stats: { gradientNorms: [] },
});

function networkWith(blocks: readonly object[]) {
  const host = { id: "resmlp", input_shape: [4], input_dtype: "float32", classes: 2, blocks };
  return { step: 1, epoch: 1, host, seeds: [] };
}

async function runWith(changes: Record<string, unknown> = {}): Promise<string> {
  const folder = await RunFolder.create(join(await mkdtemp(join(root, "r-")), "run"), { run_id: "r1" });
  const tensors = {
    "host/block1/w": float32([4, 4]),
    "host/grown/s1/a": float32([3, 4], 0.5),
    "host/grown/s1/b": float32([4, 3], 0.25),
    "seed/s2/a": float32([3, 4]),
    "optimizer/m/host/grown/s1/a": float32([3, 4], 9),
  };
  const seeds = [seedOf("s1", "FOSSILIZED"), seedOf("s2", "TRAINING"), seedOf("s3", "FOSSILIZED")];
  const meta = {
    run_id: "r1",
    network: networkWith([{ name: "block1", output_shape: [4], slot: true }]),
    state: JSON.stringify({
      step: 1,
      epoch: 0,
      hyper: {},
      epochLosses: [],
      watchedLosses: [],
      commands: { accepted: 0, rejected: 0 },
      kasmina: { version: 1, seeds, germinations: 3, plan: {}, closures: [], journalSequence: 0 },
      seeds: [],
    }),
    ...changes,
  };
  await folder.writeCheckpoint({ tensors, meta: JSON.parse(JSON.stringify(meta)) });
  folder.close();
  return folder.path;
}

test("a fossilized seed becomes an artifact with its learned weights and where they came from", async () => {
  const { ref, sha256, manifest } = await harvestSeed({ runDir: await runWith(), seedId: "s1", builder });
  expect(manifest).toMatchObject({
    blueprint: "low-rank",
    parameters: { rank: 3 },
    slotShape: [4],
    origin: { kind: "harvested", trainingRunId: "r1", seedId: "s1" },
  });
  const kernel = await catalog.read(ref, sha256);
  expect(kernel.tensors).toEqual({ a: float32([3, 4], 0.5), b: float32([4, 3], 0.25) });
});

test("a harvested artifact is not taken for one that was freshly built", async () => {
  await harvestSeed({ runDir: await runWith(), seedId: "s1", builder });
  const built = await builder.provide({
    blueprintId: "low-rank",
    parameters: { rank: 3 },
    slotShape: [4],
    initSeed: 0,
  });
  expect(built.manifest.origin.kind).toBe("built");
});

test.each<[string, string, Record<string, unknown>, RegExp]>([
  ["a seed that is not there", "s9", {}, /has no seed s9; it has s1 \(FOSSILIZED\), s2 \(TRAINING\)/],
  ["a seed that has not proved itself", "s2", {}, /s2 is TRAINING/],
  ["a seed without weights", "s3", {}, /holds no weights of seed s3/],
  ["a checkpoint without its network", "s1", { network: {} }, /does not describe its run/],
  ["a slot the host does not have", "s1", { network: networkWith([]) }, /the host has no slot block1/],
])("refuses %s", async (_name, seedId, changes, message) => {
  await expect(harvestSeed({ runDir: await runWith(changes), seedId, builder })).rejects.toThrow(message);
});

test("refuses a folder that holds no run", async () => {
  const harvest = harvestSeed({ runDir: join(root, "none"), seedId: "s1", builder });
  await expect(harvest).rejects.toMatchObject({ code: "invalid_argument" });
});
