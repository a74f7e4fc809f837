/** A small growth run through every stage, for tests that run it again, cut it, and resume it. */
import { expect } from "vitest";
import { makeSpirals } from "../../data/index.js";
import type { Backend } from "../../engine/index.js";
import { parseConfig } from "../../kasmina/index.js";
import { resmlp } from "../../nn/index.js";
import { PlateauPolicy } from "../../tamiyo/index.js";
import type { RunCheckpoint, RunOutcome } from "./run-outcome.js";
import type { RunSetup } from "./run-setup.js";
import { trainRun } from "./train-run.js";

const dataset = makeSpirals({ seed: 3 });
/** No time-out that a busy machine could run into, and gates that let the seed through: it is its way that is tested. */
export const config = parseConfig({
  kernel: { latencyBudgetMs: 600_000 },
  embargoMs: 200,
  gates: { confidence: 0, minShadowGain: -1, minContribution: -1 },
});

export function optionsFor(backend: Backend): RunSetup {
  return {
    runId: "test-run",
    host: resmlp({ ...dataset, width: 8 }),
    dataset,
    backend,
    epochs: 12,
    batch: 60,
    seed: 5,
    config,
    policy: newPolicy(),
  };
}

function newPolicy(): PlateauPolicy {
  const blueprints = [{ id: "mlp-residual", parameters: { hidden: 16 } }];
  return new PlateauPolicy({
    blueprints,
    germinateAtEpoch: 1,
    minTraining: 4,
    maxTraining: 4,
    confidence: 0,
    maxSeeds: 3,
  });
}

export interface Trail {
  readonly result: RunOutcome;
  readonly losses: readonly number[];
  /** Step at which each stage was reached first. */
  readonly stages: ReadonlyMap<string, number>;
}

export async function run(options: RunSetup): Promise<Trail> {
  const losses: number[] = [];
  const stages = new Map<string, number>();
  const result = await trainRun({
    ...options,
    onEpoch: ({ trainLoss, heldOut }) => void losses.push(trainLoss, heldOut.loss.value),
    onEvent: ({ name, attributes }) => {
      if (name === "seed_stage" && !stages.has(String(attributes.to)))
        stages.set(String(attributes.to), Number(attributes.step));
    },
  });
  return { result, losses, stages };
}

/** Runs until `step`, as a signal would end it; gives the checkpoint written there. */
async function runUntil(options: RunSetup, step: number): Promise<RunCheckpoint> {
  const stop = new AbortController();
  const { result } = await run({
    ...options,
    signal: stop.signal,
    reportEverySteps: 1,
    onStep: (report) => void (report.step === step && stop.abort()),
  });
  if (result.end !== "aborted" || result.steps !== step)
    throw new Error(`ended ${result.end} at step ${result.steps}`);
  return result.checkpoint;
}

/** Cuts the run at `step`, resumes it, and expects the end of the whole one to the last bit. */
export async function expectResumed(backend: Backend, whole: Trail, step: number): Promise<void> {
  const resume = await runUntil(optionsFor(backend), step);
  const rest = await run({ ...optionsFor(backend), resume });
  expect(rest.result.checkpoint.tensors, `cut at step ${step}`).toEqual(whole.result.checkpoint.tensors);
  expect(rest.losses, `cut at step ${step}`).toEqual(whole.losses.slice(-rest.losses.length));
  expect(rest.result.flopsTotal, `cut at step ${step}`).toBe(whole.result.flopsTotal);
}
