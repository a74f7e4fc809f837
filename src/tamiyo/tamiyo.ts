/** Tamiyo: watches training, decides by its policy, signs each decision and sends it off as a command. */
import type { CommandDraft, CommandSigner, SystemState } from "../contracts/index.js";
import { type InputHealth, inspectInputs } from "./inputs.js";
import type { Decision, GrowthCosts, Policy } from "./policy.js";

export interface TamiyoOptions {
  readonly policy: Policy;
  readonly signer: CommandSigner;
  readonly trainingRunId: string;
  /** What the ids of its commands begin with; whoever else commands the run has another. Default `tamiyo`. */
  readonly name?: string;
  /** Takes a serialized SignedEnvelope to Kasmina. */
  readonly send: (envelope: Uint8Array) => void;
  /** Receives every decision, for the run's log. */
  readonly onDecision?: (decision: Decision, state: SystemState) => void;
  /** What growth costs in this run. Left out: a policy with a budget germinates nothing. */
  readonly costs?: GrowthCosts;
  /** Further inputs that are missing now, by name, besides those that the state itself lacks. Default: none. */
  readonly absentInputs?: () => readonly string[];
  /** Called when inputs become degraded, when what is missing changes, and when all is there again. */
  readonly onInputs?: (health: InputHealth) => void;
}

export class Tamiyo {
  readonly #options: TamiyoOptions;
  #sent = 0;
  #lastStep = -1;
  #missing = "";

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
    const { policy, signer, costs, onDecision, send, absentInputs } = this.#options;
    const health = inspectInputs(state, this.#lastStep, absentInputs?.());
    this.#lastStep = Math.max(this.#lastStep, state.step);
    this.#reportInputs(health);
    for (const decision of policy.decide(state, { health, ...(costs && { costs }) })) {
      onDecision?.(decision, state);
      send(signer.sign(this.#draft(decision, health, state)));
    }
  }

  #reportInputs(health: InputHealth): void {
    const missing = health.missing.join(", ");
    if (missing !== this.#missing) this.#options.onInputs?.(health);
    this.#missing = missing;
  }

  #draft(decision: Decision, health: InputHealth, { incarnation }: SystemState): CommandDraft {
    const { policy, trainingRunId, name = "tamiyo" } = this.#options;
    return {
      commandId: `${name}-${++this.#sent}`,
      trainingRunId,
      ...(incarnation !== undefined && { incarnation }),
      issuedBy: "tamiyo",
      ...orderOf(decision),
      decision: {
        policyVersion: policy.version,
        riskReason: decision.why,
        featureCoverage: health.coverage,
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
