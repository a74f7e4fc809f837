/** Tamiyo in a run: what she decides goes into the command queue, and what growth costs is counted for her. */
import type { Clock } from "../../base/index.js";
import type { CommandSigner, KeyRing } from "../../contracts/index.js";
import type { Kasmina } from "../../kasmina/index.js";
import { type InputHealth, type Policy, Tamiyo } from "../../tamiyo/index.js";
import type { CommandQueue } from "./command-queue.js";
import { CountedCosts, type GrowthCostsOptions } from "./growth-costs.js";
import { preflight } from "./preflight.js";
import type { RunSetup } from "./run-setup.js";

/** The run that she watches. */
export interface TamiyoRun
  extends Pick<
    GrowthCostsOptions,
    "blueprints" | "optimizer" | "stepsPerEpoch" | "observeEverySteps" | "evaluationBatch"
  > {
  readonly options: RunSetup;
  readonly kasmina: Kasmina;
  readonly commands: CommandQueue;
  readonly signer: CommandSigner;
  readonly keys: KeyRing;
  readonly clock: Clock;
}

export function tamiyoFor(policy: Policy | null, run: TamiyoRun): Tamiyo | undefined {
  if (!policy) return undefined;
  const { options, blueprints, kasmina, commands, signer, keys, clock } = run;
  const { candidates = [] } = policy;
  const { runId, host } = options;
  preflight({ runId, host, blueprints, config: kasmina.config, clock, keys, signer, candidates });
  const costs = costsOf(run);
  costs.countAhead(candidates);
  return new Tamiyo({
    policy,
    signer,
    trainingRunId: options.runId,
    costs,
    onInputs: (health) => reportInputs(kasmina, health),
    // What a resumed run's policy decides once more is in the journal already.
    send: (envelope) => {
      if (!kasmina.isReplaying) commands.send(envelope);
    },
    ...(options.absentInputs && { absentInputs: options.absentInputs }),
    ...(options.onDecision && { onDecision: options.onDecision }),
  });
}

function costsOf(run: TamiyoRun): CountedCosts {
  const { options, kasmina, blueprints, optimizer, stepsPerEpoch, observeEverySteps, evaluationBatch } = run;
  const { host, dataset, batch, epochs } = options;
  return new CountedCosts({
    blueprints,
    optimizer,
    stepsPerEpoch,
    observeEverySteps,
    evaluationBatch,
    host,
    batch,
    epochs,
    heldOutRows: dataset.heldOut.count,
    testRows: dataset.test.count,
    isolationEverySteps: kasmina.config.isolation.everySteps,
    leadSteps: kasmina.config.leadSteps,
    inherited:
      (options.resume?.kasmina ?? options.inherits)?.seeds.filter(({ inherited }) => inherited) ?? [],
    seeds: () => kasmina.seeds(),
  });
}

/** She holds back while anything is missing, and goes on when all is there again. */
function reportInputs(kasmina: Kasmina, { missing, coverage }: InputHealth): void {
  const degraded = missing.length > 0;
  kasmina.telemetry.event(undefined, "degraded_inputs", degraded ? "WARNING" : "INFO", {
    missing: missing.join(", "),
    feature_coverage: coverage,
    mode: degraded ? "conservative" : "normal",
  });
}
