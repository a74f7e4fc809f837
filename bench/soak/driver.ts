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
  readonly seeds: () => readonly SeedState[];
  readonly print: (line: SoakLine) => void;
}

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
    for (const kind of this.#options.plan.commandsAt(step)) void this.#send(kind, step);
  }

  async #send(kind: CommandKind, step: number): Promise<void> {
    const { plan, bus, runId, runDir, seeds, print } = this.#options;
    const id = `soak-${step}-${kind}`;
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
