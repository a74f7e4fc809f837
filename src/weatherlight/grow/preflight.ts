/**
 * A first command, tried out before the first step: signed as the policy signs, and sent through a Kasmina of its own,
 * which is forgotten. A run that would not obey its own policy fails here, and not at the first decision. And what a
 * command runs through, from signature to plan, has run once: code that is cold takes some 10 ms more, between two steps.
 */
import { type Clock, KasminaError } from "../../base/index.js";
import type { CommandOutcome, CommandSigner, KernelSource, KeyRing } from "../../contracts/index.js";
import { Kasmina, type KasminaConfig, REJECTION_REASONS } from "../../kasmina/index.js";
import { type BlueprintRegistry, type Host, slotsOf } from "../../nn/index.js";
import type { Candidate } from "../../tamiyo/index.js";

export interface PreflightOptions {
  readonly runId: string;
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  readonly config: KasminaConfig;
  readonly clock: Clock;
  readonly keys: KeyRing;
  readonly signer: CommandSigner;
  readonly candidates: readonly Candidate[];
}

const REJECTIONS: ReadonlySet<string> = new Set(REJECTION_REASONS);
const START = { step: 0, epoch: 0 };

/** Nothing waits for its kernels. */
const NO_KERNELS: KernelSource = { fetch: () => new Promise(() => undefined) };

/** @throws KasminaError `illegal_state` where the run would refuse what its policy signs, with the reason */
export function preflight(options: PreflightOptions): void {
  const { runId, host, blueprints, config, clock, keys } = options;
  const kasmina = new Kasmina({
    trainingRunId: runId,
    slots: slotsOf(host),
    blueprints,
    config,
    clock,
    keys,
    telemetry: { emit: () => undefined },
    kernels: NO_KERNELS,
  });
  const envelope = germination(options);
  const delivery = { envelope, busEntry: "preflight", acknowledge: () => undefined };
  const [outcome] = kasmina.receive({ drain: () => [delivery] }, START);
  kasmina.flushTelemetry(START);
  kasmina.close();
  if (outcome && isRejected(outcome))
    throw new KasminaError(
      "illegal_state",
      `the run would refuse its own policy's commands: ${outcome.reason}`,
    );
}

/** Of the first candidate in the first slot. That it may not fit there is no matter. */
function germination({ runId, host, signer, candidates }: PreflightOptions): Uint8Array {
  const [candidate = { id: "none", parameters: {} }] = candidates;
  return signer.sign({
    commandId: "tamiyo-0",
    trainingRunId: runId,
    issuedBy: "tamiyo",
    seedId: "seed-0",
    slotId: slotsOf(host)[0]?.id ?? "none",
    order: {
      kind: "SEED",
      operation: "GERMINATE",
      blueprintId: candidate.id,
      parameters: candidate.parameters,
    },
    decision: { policyVersion: "preflight", riskReason: "before the first step", featureCoverage: 1 },
  });
}

function isRejected({ status, reason }: CommandOutcome): boolean {
  return status === "refused" && REJECTIONS.has(reason);
}
