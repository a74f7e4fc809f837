/** Tamiyo: watches training, decides by its policy, signs each decision and sends it off as a command. */
import type { CommandDraft, CommandSigner, SystemState } from "../contracts/index.js";
import type { Decision, Policy } from "./policy.js";

export interface TamiyoOptions {
  readonly policy: Policy;
  readonly signer: CommandSigner;
  readonly trainingRunId: string;
  /** Takes a serialized SignedEnvelope to Kasmina. */
  readonly send: (envelope: Uint8Array) => void;
  /** Hears every decision, for the run's log. */
  readonly onDecision?: (decision: Decision, state: SystemState) => void;
}

export class Tamiyo {
  readonly #options: TamiyoOptions;
  #sent = 0;

  constructor(options: TamiyoOptions) {
    this.#options = options;
  }

  get policy(): Policy {
    return this.#options.policy;
  }

  /** Commands sent so far; the next command's id counts on from here. */
  get sent(): number {
    return this.#sent;
  }

  /** Goes on counting where a resumed run left off, so that no command id is used twice. */
  restoreSent(sent: number): void {
    this.#sent = sent;
  }

  observe(state: SystemState): void {
    for (const decision of this.#options.policy.decide(state)) {
      this.#options.onDecision?.(decision, state);
      this.#options.send(this.#options.signer.sign(this.#draft(decision, state)));
    }
  }

  #draft(decision: Decision, state: SystemState): CommandDraft {
    const { policy, trainingRunId } = this.#options;
    return {
      commandId: `tamiyo-${++this.#sent}`,
      trainingRunId,
      issuedBy: "tamiyo",
      ...orderOf(decision),
      decision: {
        policyVersion: policy.version,
        riskReason: decision.why,
        featureCoverage: coverageOf(state),
        ...(decision.action === "advance" && decision.blend ? { blend: decision.blend } : {}),
      },
    };
  }
}

function orderOf(decision: Decision): Pick<CommandDraft, "order"> & Partial<CommandDraft> {
  switch (decision.action) {
    case "germinate": {
      const { seedId, slotId, blueprintId, parameters } = decision;
      return { seedId, slotId, order: { kind: "SEED", operation: "GERMINATE", blueprintId, parameters } };
    }
    case "advance": {
      const { seedId, operation, expectedStage } = decision;
      return { seedId, expectedStage, order: { kind: "SEED", operation } };
    }
    case "cull": {
      const { seedId, expectedStage } = decision;
      return { seedId, expectedStage, order: { kind: "SEED", operation: "CULL" } };
    }
  }
}

/** Fraction of what a policy wants to see that was measured. */
function coverageOf(state: SystemState): number {
  const wanted = [state.heldOutLoss, state.heldOutAccuracy, Number.isFinite(state.trainLoss) ? 1 : undefined];
  return wanted.filter((value) => value !== undefined).length / wanted.length;
}
