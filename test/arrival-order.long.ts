/** Three seeds in two slots: whatever order their kernels come in, the run is the same to the last bit. */
import { describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../src/engine/index.js";
import type { RunSetup } from "../src/weatherlight/grow/run-setup.js";
import { config, optionsFor } from "../src/weatherlight/grow/train-run.fixture.js";
import { HeldKernels } from "./support/held-kernels.js";
import { runScript, type ScriptedSeed } from "./support/scripted-growth.js";

const SEEDS = ["a", "b", "c"] as const;
const SCRIPT: readonly ScriptedSeed[] = [
  { seedId: "a", slotId: "block1", blueprintId: "mlp-residual", until: "FOSSILIZED" },
  { seedId: "b", slotId: "block2", blueprintId: "low-rank", until: "PROBATIONARY" },
  { seedId: "c", slotId: "block1", blueprintId: "mlp-residual", until: "BLENDING" },
];
const ORDERS = SEEDS.flatMap((first) =>
  SEEDS.filter((id) => id !== first).map((second) => [
    first,
    second,
    ...SEEDS.filter((id) => id !== first && id !== second),
  ]),
);

/** The first kernel comes early, the second one later, and the last one when training is waiting for it already. */
async function run(backend: Backend, order: readonly string[]) {
  let germinatedAt: number | undefined;
  let step = 0;
  const kernels = new HeldKernels(() => {
    germinatedAt = step;
  });
  const due = (after: number): boolean => germinatedAt !== undefined && step === germinatedAt + after;
  const [first = "", second = "", last = ""] = order;
  const losses: number[] = [];
  const options: RunSetup = {
    ...optionsFor(backend),
    kernels,
    onLoss: (at, loss) => {
      losses.push(loss);
      step = at + 1;
      if (due(2)) kernels.letGo(first);
      if (due(9)) kernels.letGo(second);
      if (due(config.leadSteps)) setTimeout(() => kernels.letGo(last), 20);
    },
  };
  const { result, error } = await runScript(options, SCRIPT);
  if (!result) throw error;
  expect(kernels.arrived).toEqual(order);
  return { losses, tensors: result.checkpoint.tensors, seeds: result.seeds };
}

describe.each(["wasm", "native"] as const)("three seeds in two slots on %s", (engine) => {
  test("give the same run in all six orders of arrival", async () => {
    const { backend } = await openBackend(engine, { threads: 1 });
    const runs = [];
    for (const order of ORDERS) runs.push(await run(backend, order));
    const [expected, ...others] = runs;
    expect(others).toHaveLength(5);
    expect(expected?.seeds.map(({ seed }) => [seed.id, seed.stage])).toEqual([
      ["a", "FOSSILIZED"],
      ["c", "BLENDING"],
      ["b", "PROBATIONARY"],
    ]);
    for (const other of others) {
      expect(other.losses).toEqual(expected?.losses);
      expect(other.tensors).toEqual(expected?.tensors);
    }
    await backend.dispose();
  });
});
