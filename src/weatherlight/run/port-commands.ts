/** The trainer's half of a run on a bus: the bus itself is on the thread that started this one, at the other end of a port. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type {
  CommandDelivery,
  CommandOutcome,
  CommandSource,
  SystemState,
  TelemetryPacket,
} from "../../contracts/index.js";

/** To a trainer on a bus. */
export type BusMessage =
  | { readonly kind: "command"; readonly entryId: string; readonly envelope: Uint8Array }
  /** What the run lacks from now on. */
  | { readonly kind: "missing"; readonly missing: readonly string[] };

/** From a trainer on a bus. */
export type TrainerBusMessage =
  | { readonly kind: "state"; readonly state: SystemState }
  | { readonly kind: "packet"; readonly packet: TelemetryPacket }
  | { readonly kind: "outcome"; readonly entryId: string; readonly outcome: CommandOutcome };

export class PortCommands implements CommandSource {
  readonly #port: MessagePort;
  #missing: readonly string[] = [];

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** What the run lacks, as of the last drain. */
  get missing(): readonly string[] {
    return this.#missing;
  }

  /** Takes what has come itself: a trainer that is never idle gives message events no turn. */
  drain(): CommandDelivery[] {
    const drained: CommandDelivery[] = [];
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const message = got.message as BusMessage;
      if (message.kind === "missing") this.#missing = message.missing;
      else drained.push(this.#deliveryOf(message));
    }
    return drained;
  }

  sendState(state: SystemState): void {
    this.#post({ kind: "state", state });
  }

  sendPacket(packet: TelemetryPacket): void {
    this.#post({ kind: "packet", packet });
  }

  #deliveryOf({ entryId, envelope }: Extract<BusMessage, { kind: "command" }>): CommandDelivery {
    return {
      envelope,
      busEntry: entryId,
      acknowledge: (outcome) => this.#post({ kind: "outcome", entryId, outcome }),
    };
  }

  #post(message: TrainerBusMessage): void {
    this.#port.postMessage(message);
  }
}
