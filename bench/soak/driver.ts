/** Sends the orders of a soak over its bus, and collects the outcome of each. */
import { join } from "node:path";
import { type CommandOutcome, runTopic, type SeedState } from "kasmina/contracts";
import { loadKeys } from "kasmina/contracts/node";
import { BusCommands } from "kasmina/weatherlight";
import type { FaultyBus } from "./faulty-bus.js";
import type { SoakLine } from "./lines.js";
import { type CommandKind, envelopeOf } from "./orders.js";
import type { SoakPlan } from "./plan.js";

export interface DriverOptions {
  readonly plan: SoakPlan;
  readonly bus: FaultyBus;
  readonly runId: string;
  readonly runDir: string;
  /** Forged commands that come one upon the other. */
  readonly flood: number;
  readonly seeds: () => readonly SeedState[];
  readonly print: (line: SoakLine) => void;
}

/** More than a bus holds would not come at all; a run takes 64 a step. */
const FLOOD_A_STEP = 50;

/** Kinds whose envelope a replay attack uses again. */
const HONEST: readonly CommandKind[] = ["optimizer", "cull", "pause", "rollback-memory"];

export class Driver {
  readonly #options: DriverOptions;
  readonly #sent = new Map<string, { readonly id: string; readonly kind: CommandKind }>();
  #earlier: Uint8Array | undefined;
  commands: BusCommands | undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  async open(): Promise<BusCommands> {
    const { bus, runId } = this.#options;
    this.commands = await BusCommands.open({
      messages: bus,
      trainingRunId: runId,
      onOutcome: (entryId, outcome) => this.#heard(entryId, outcome),
    });
    return this.commands;
  }

  /** Sends what the plan has for a step; it is taken at the boundary after it. */
  at(step: number): void {
    const { plan, flood } = this.#options;
    for (const kind of plan.commandsAt(step)) void this.#send(kind, step, `soak-${step}-${kind}`);
    for (let at = 0; at < Math.min(FLOOD_A_STEP, flood - this.#flooded(step)); at++)
      void this.#send("forged", step, `soak-${step}-flood-${at}`);
  }

  /** How much of the flood has come before a step; all of it before it begins. */
  #flooded(step: number): number {
    const { plan, flood } = this.#options;
    return step < plan.floodStep ? flood : (step - plan.floodStep) * FLOOD_A_STEP;
  }

  async #send(kind: CommandKind, step: number, id: string): Promise<void> {
    const { plan, bus, runId, runDir, seeds, print } = this.#options;
    const keys = loadKeys(join(runDir, "control.keys"));
    const draw = plan.drawAt(step, "choice");
    const envelope = envelopeOf(kind, id, { runId, keys, seeds: seeds(), draw, earlier: this.#earlier });
    if (HONEST.includes(kind)) this.#earlier = envelope;
    print({ type: "sent", id, kind });
    this.#sent.set(await bus.publish(runTopic("commands", runId), envelope), { id, kind });
  }

  #heard(entryId: string, { status, reason }: CommandOutcome): void {
    const sent = this.#sent.get(entryId);
    if (sent) this.#options.print({ type: "answered", ...sent, status, reason });
  }
}
