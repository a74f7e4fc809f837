import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { grow } from "./grow.js";
import { planRun } from "./plan-run.js";

const OPTIONS = { data: "spirals", engine: "wasm", epochs: 2, slots: ["block2"] } as const;

test("a plan says what the run is made of, and counts as the run itself does", async () => {
  const plan = await planRun(OPTIONS);
  const run = await grow({ ...OPTIONS, growth: false });
  expect(plan).toMatchObject({
    type: "plan",
    host: "resmlp",
    data: "spirals",
    task: "classification",
    engine: "wasm",
    rows: { train: 1_800, held_out: 200, test: 1_000 },
    batch: 50,
    steps: run.steps,
    params: run.paramsHost,
    slots: [{ id: "block2", shape: [16] }],
  });
  expect(plan.slots[0]?.blueprints).toContain("mlp-residual");
  // Adam keeps two more values of each weight.
  expect(plan.state_bytes).toBe(3 * 4 * run.paramsHost);
  expect(plan.data_bytes).toBe(3_000 * (2 + 1) * 4);
  expect(plan.flops_total / run.flopsTotal).toBeGreaterThan(0.7);
  expect(plan.flops_total / run.flopsTotal).toBeLessThan(1.3);
  expect(plan.seconds).toBeCloseTo(plan.steps / plan.steps_per_s, 6);
});

test("nothing is written, and what cannot be is refused as the run would refuse it", async () => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-plan-"));
  try {
    await planRun({ ...OPTIONS, runDir: join(root, "run") });
    expect(await readdir(root)).toEqual([]);
    await expect(planRun({ ...OPTIONS, epochs: 0 })).rejects.toThrow(
      "epochs must be a whole number in 1..100000, got 0",
    );
    await expect(planRun({ ...OPTIONS, batch: 5_000 })).rejects.toThrow(
      "batch 5000 is larger than the 1800 training rows",
    );
    await expect(planRun({ resume: root })).rejects.toThrow("a resumed run cannot be tried out");
  } finally {
    await rm(root, { recursive: true });
  }
});
