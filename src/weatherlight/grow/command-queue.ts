/** Commands on their way to the trainer of the same process, in the order they were sent. */
import type { CommandDelivery, CommandOutcome, CommandSource } from "../../contracts/index.js";

export class CommandQueue implements CommandSource {
  #waiting: CommandDelivery[] = [];
  #entries = 0;
  readonly #onOutcome: (outcome: CommandOutcome) => void;

  constructor(onOutcome: (outcome: CommandOutcome) => void = () => undefined) {
    this.#onOutcome = onOutcome;
  }

  /** Takes a serialized SignedEnvelope; `onOutcome` receives the answer to this one. */
  send(envelope: Uint8Array, onOutcome?: (outcome: CommandOutcome) => void): void {
    const busEntry = `local-${++this.#entries}`;
    this.#waiting.push({
      envelope,
      busEntry,
      acknowledge: (outcome) => {
        this.#onOutcome(outcome);
        onOutcome?.(outcome);
      },
    });
  }

  drain(): CommandDelivery[] {
    const drained = this.#waiting;
    this.#waiting = [];
    return drained;
  }
}

/** Drains several sources, one after the other. */
export function joined(sources: readonly CommandSource[]): CommandSource {
  return { drain: () => sources.flatMap((source) => source.drain()) };
}

/** The source; `onOutcome` receives the answer to each of its commands. */
export function counted(source: CommandSource, onOutcome: (outcome: CommandOutcome) => void): CommandSource {
  const hearing = (delivery: CommandDelivery): CommandDelivery => ({
    envelope: delivery.envelope,
    busEntry: delivery.busEntry,
    acknowledge: (outcome) => {
      onOutcome(outcome);
      delivery.acknowledge(outcome);
    },
  });
  return { drain: () => source.drain().map(hearing) };
}
