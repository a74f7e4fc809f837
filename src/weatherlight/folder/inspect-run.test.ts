import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { float32, type Tensors } from "../../contracts/index.js";
import { inspectRun } from "./inspect-run.js";
import { RunFolder } from "./run-folder.js";
import type { NetworkMeta } from "./saved-checkpoint.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-inspect-"));
});
afterAll(() => rm(root, { recursive: true }));

const network: NetworkMeta = {
  step: 12,
  epoch: 2,
  host: {
    id: "resmlp",
    input_shape: [2],
    input_dtype: "float32",
    classes: 3,
    blocks: [
      { name: "stem", output_shape: [4], slot: false },
      { name: "block1", output_shape: [4], slot: true },
    ],
  },
  seeds: [
    {
      id: "s1",
      blueprint: "low-rank",
      slot: "block1",
      stage: "TRAINING",
      alpha: 0,
      shadow_gain: 0.5,
      contribution: null,
    },
    {
      id: "s0",
      blueprint: "low-rank",
      slot: "block1",
      stage: "FOSSILIZED",
      alpha: 1,
      shadow_gain: 0.5,
      contribution: 0.1,
    },
  ],
};

async function runWith(meta: Record<string, unknown>, change: Tensors = {}): Promise<string> {
  const folder = await RunFolder.create(join(await mkdtemp(join(root, "r-")), "run"), { run_id: "r1" });
  const tensors = {
    "host/stem/w": float32([2, 4]),
    "host/block1/w": float32([4, 4]),
    "host/block1/b": float32([4]),
    "seed/s1/up/w": float32([4, 2]),
    "host/grown/s0/up/w": float32([4, 3]),
    "optimizer/m/host/stem/w": float32([2, 4]),
    ...change,
  };
  const whole = { run_id: "r1", state: "{}", ...meta };
  await folder.writeCheckpoint({ tensors, meta: JSON.parse(JSON.stringify(whole)) });
  folder.close();
  return folder.path;
}

test("blocks, slots, seeds, stages and parameters come from a checkpoint that is whole", async () => {
  const inspection = await inspectRun(await runWith({ network }));
  expect(inspection).toMatchObject({
    run_id: "r1",
    ended: null,
    step: 12,
    epoch: 2,
    host: "resmlp",
    params_host: 28,
    params_total: 48,
    checkpoint: { valid: true, wrecked: null },
  });
  expect(inspection.blocks.map(({ name, slot, parameters }) => [name, slot, parameters])).toEqual([
    ["stem", false, 8],
    ["block1", true, 20],
  ]);
  expect(inspection.seeds).toEqual([
    { ...network.seeds[0], parameters: 8 },
    { ...network.seeds[1], parameters: 12 },
  ]);
});

test("nothing is shown of a damaged checkpoint but that it is damaged", async () => {
  const path = await runWith({ network });
  const dir = join(path, "checkpoint");
  const name = (await readdir(dir)).find((file) => file.endsWith(".safetensors")) ?? "";
  const bytes = await readFile(join(dir, name));
  bytes[bytes.length - 1] = 1;
  await writeFile(join(dir, name), bytes);
  const inspection = await inspectRun(path);
  expect(inspection.checkpoint).toEqual({
    valid: false,
    problem: `${join(dir, name)} is not what its SHA-256 says`,
  });
  expect(inspection).toMatchObject({ host: null, blocks: [], params_total: 0 });
});

test("a run that wrote no checkpoint yet, and one of another program, say so", async () => {
  const folder = await RunFolder.create(join(await mkdtemp(join(root, "r-")), "run"), {});
  folder.close();
  expect((await inspectRun(folder.path)).checkpoint).toMatchObject({ valid: false });
  const other = await inspectRun(await runWith({ network: { ...network, step: "x" } }));
  expect(other.checkpoint).toEqual({
    valid: false,
    problem: "the checkpoint does not describe its run: network.step does not fit",
  });
});

test("a network that is not finite is called wrecked, by its weights or by its last evaluation", async () => {
  const weights = await runWith({ network }, { "host/stem/w": float32([2, 4], Number.NaN) });
  expect((await inspectRun(weights)).checkpoint).toMatchObject({
    valid: true,
    wrecked: "host/stem/w hold values that are not finite",
  });
  const outputs = await runWith({ network: { ...network, held_out_loss: null } });
  expect((await inspectRun(outputs)).checkpoint).toMatchObject({
    valid: true,
    wrecked: "its loss on the held-out rows is not finite",
  });
  const sound = await runWith({ network: { ...network, held_out_loss: 0.5 } });
  expect((await inspectRun(sound)).checkpoint).toMatchObject({ valid: true, wrecked: null });
});
