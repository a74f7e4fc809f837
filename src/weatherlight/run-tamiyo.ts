/** Tamiyo in a run: what she decides goes into the command queue, and what growth costs is counted for her. */
import { KasminaError } from "../base/index.js";
import type { CommandSigner } from "../contracts/index.js";
import type { Kasmina } from "../kasmina/index.js";
import { type InputHealth, type Policy, Tamiyo } from "../tamiyo/index.js";
import type { CommandQueue } from "./command-queue.js";
import type { GrowOptions } from "./grow-options.js";
import { CountedCosts, type GrowthCostsOptions } from "./growth-costs.js";

/** The run that she watches. */
export interface TamiyoRun
  extends Pick<
    GrowthCostsOptions,
    "blueprints" | "optimizer" | "stepsPerEpoch" | "observeEverySteps" | "evaluationBatch"
  > {
  readonly options: GrowOptions;
  readonly kasmina: Kasmina;
  readonly commands: CommandQueue;
  readonly signer: CommandSigner;
}

export function tamiyoFor(policy: Policy | null, run: TamiyoRun): Tamiyo | undefined {
  if (!policy) return undefined;
  const { options, kasmina, commands, signer } = run;
  checkHand(run);
  const costs = costsOf(run);
  costs.countAhead(policy.candidates ?? []);
  return new Tamiyo({
    policy,
    signer,
    trainingRunId: options.runId,
    costs,
    onInputs: (health) => tellInputs(kasmina, health),
    // What a resumed run's policy decides once more is in the journal already.
    send: (envelope) => {
      if (!kasmina.isReplaying) commands.send(envelope);
    },
    ...(options.onDecision && { onDecision: options.onDecision }),
  });
}

/**
 * A run whose own policy could not command it fails before its first step, and not at the first decision. What signs and
 * reads a first command is code that has not run yet, too: here it takes 8 ms from no step.
 */
function checkHand({ options, kasmina, signer }: TamiyoRun): void {
  const envelope = signer.sign({
    commandId: "tamiyo-0",
    trainingRunId: options.runId,
    issuedBy: "tamiyo",
    seedId: "none",
    slotId: "none",
    order: { kind: "SEED", operation: "GERMINATE", blueprintId: "none", parameters: { none: 0 } },
    decision: { policyVersion: "none", riskReason: "none", featureCoverage: 1 },
  });
  if (!kasmina.recognizes(envelope))
    throw new KasminaError("illegal_state", "the run would not recognize its policy's commands");
}

function costsOf({ options, kasmina, commands: _, signer: __, ...rest }: TamiyoRun): CountedCosts {
  const { host, dataset, batch, epochs } = options;
  return new CountedCosts({
    ...rest,
    host,
    batch,
    epochs,
    heldOutRows: dataset.heldOut.count,
    testRows: dataset.test.count,
    isolationEverySteps: kasmina.config.isolation.everySteps,
    leadSteps: kasmina.config.leadSteps,
    seeds: () => kasmina.seeds(),
  });
}

/** She holds back while anything is missing, and goes on when all is there again. */
function tellInputs(kasmina: Kasmina, { missing, coverage }: InputHealth): void {
  const degraded = missing.length > 0;
  kasmina.telemetry.event(undefined, "degraded_inputs", degraded ? "WARNING" : "INFO", {
    missing: missing.join(", "),
    feature_coverage: coverage,
    mode: degraded ? "conservative" : "normal",
  });
}
