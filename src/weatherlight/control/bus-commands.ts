/**
 * Commands from a message bus. A message is acknowledged when its outcome is journaled, not before: one whose run died in
 * between is delivered again, and answered from the journal.
 */
import { type Deferred, deferred, KasminaError } from "../../base/index.js";
import {
  type CommandDelivery,
  type CommandOutcome,
  type CommandSource,
  type Message,
  type MessagePort,
  RUN_GROUP,
  runTopic,
  type Subscription,
} from "../../contracts/index.js";

/** Commands that wait for the next step boundary; more stay on the bus. */
const MAX_WAITING = 64;

export interface BusCommandsOptions {
  readonly messages: MessagePort;
  /** Whose commands they are. */
  readonly trainingRunId: string;
  /** Receives the answer to each delivery, by the bus's id of its message. */
  readonly onOutcome?: (entryId: string, outcome: CommandOutcome) => void;
}

interface Waiting {
  readonly message: Message;
  readonly answered: Deferred<void>;
}

export class BusCommands implements CommandSource {
  readonly #onOutcome: (entryId: string, outcome: CommandOutcome) => void;
  #waiting: Waiting[] = [];
  #subscription: Subscription | undefined;

  private constructor(onOutcome: (entryId: string, outcome: CommandOutcome) => void) {
    this.#onOutcome = onOutcome;
  }

  static async open({
    messages,
    trainingRunId,
    onOutcome = () => undefined,
  }: BusCommandsOptions): Promise<BusCommands> {
    const commands = new BusCommands(onOutcome);
    const take = (message: Message): Promise<void> => commands.#take(message);
    commands.#subscription = await messages.subscribe(runTopic("commands", trainingRunId), RUN_GROUP, take, {
      maxInFlight: MAX_WAITING,
    });
    return commands;
  }

  drain(): CommandDelivery[] {
    const drained = this.#waiting;
    this.#waiting = [];
    return drained.map(({ message: { payload, entryId }, answered }) => ({
      envelope: payload,
      busEntry: entryId,
      acknowledge: (outcome) => {
        answered.resolve();
        this.#onOutcome(entryId, outcome);
      },
    }));
  }

  /** Takes no more; what was not drained goes back to the bus. */
  async close(): Promise<void> {
    await this.#subscription?.close();
    for (const { answered } of this.#waiting.splice(0))
      answered.reject(new KasminaError("canceled", "the run ended before it took the command"));
  }

  #take(message: Message): Promise<void> {
    const answered = deferred<void>();
    this.#waiting.push({ message, answered });
    return answered.promise;
  }
}
