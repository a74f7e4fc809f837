/**
 * A run on a bus: its commands come in on streams of its own, its states, outcomes and telemetry go out, signed, by way of
 * an outbox, so that a bus that is away holds nothing up. It stands outside of the trainer's thread, which may be busy for long.
 */
import {
  type Clock,
  type Deferred,
  deferred,
  KasminaError,
  messageOf,
  systemClock,
  type Timer,
} from "../../base/index.js";
import {
  type CommandOutcome,
  encodeOutcome,
  encodeState,
  encodeTelemetry,
  type KeyRing,
  type Message,
  type MessagePort,
  RUN_GROUP,
  RUN_STREAMS,
  runTopic,
  SignedMessages,
  type Subscription,
  type SystemState,
  sharedTopic,
  type TelemetryPacket,
} from "../../contracts/index.js";
import { Outbox, type OutboxOptions, type RedisStreamsBus } from "../../oona/index.node.js";

/** A command as it came, to be answered by its entry. */
export interface ArrivedCommand {
  /** The bus's id of the message, in the emergency lane with `emergency/` before it. */
  readonly entryId: string;
  readonly envelope: Uint8Array;
}

export interface BusLinkOptions {
  readonly bus: RedisStreamsBus;
  readonly keys: KeyRing;
  readonly trainingRunId: string;
  /** Folder in which waits what cannot leave. One run's own. */
  readonly outboxFolder: string;
  /** Receives each command once a delivery; the same entry may come again until it is answered. */
  readonly onCommand: (command: ArrivedCommand) => void;
  /** Whether a policy elsewhere decides for this run. */
  readonly remotePolicy: boolean;
  /** Receives what the run now lacks, when that changes: `oona` (the bus), `tamiyo` (a policy that sees to this run). */
  readonly onMissing?: (missing: readonly string[]) => void;
  /** Receives one line about what went wrong. Must not throw. */
  readonly onProblem?: (problem: string) => void;
  readonly clock?: Clock;
  /** How often is looked who is there. Default 2 s. */
  readonly lookMs?: number;
}

const LOOK_MS = 2_000;
/** Commands under way to the trainer, a lane. */
const MAX_COMMANDS = 64;
/** A run that has just begun has no policy yet. */
const LOOKS_UNTIL_MISSING = 3;

export class BusLink {
  readonly #options: BusLinkOptions;
  readonly #clock: Clock;
  readonly #messages: SignedMessages;
  readonly #outbox: Outbox;
  readonly #unanswered = new Map<string, Deferred<void>>();
  #subscription: Subscription | undefined;
  #missing = "";
  #looks = 0;
  #timer: Timer | undefined;
  #closed = false;

  /** Rejects with KasminaError `unavailable` where the bus cannot be reached, `io` where the outbox's folder cannot be used. */
  static async open(options: BusLinkOptions): Promise<BusLink> {
    const { bus, outboxFolder, onProblem } = options;
    const outbox = await Outbox.open({
      folder: outboxFolder,
      bus: signing(options),
      onDropped: (count, reason) => onProblem?.(`${count} messages of the outbox are gone: ${reason}`),
    });
    const link = new BusLink(options, outbox);
    const take = (message: Message): Promise<void> => link.#take(message);
    link.#subscription = await bus.subscribe(runTopic("commands", options.trainingRunId), RUN_GROUP, take, {
      maxInFlight: MAX_COMMANDS,
    });
    link.#lookLater();
    return link;
  }

  private constructor(options: BusLinkOptions, outbox: Outbox) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#messages = new SignedMessages({ port: options.bus, keys: options.keys });
    this.#outbox = outbox;
  }

  /** For the kernels of the run: signed, and verified. */
  get messages(): MessagePort {
    return this.#messages;
  }

  /** Messages that wait for the bus. */
  get waiting(): number {
    return this.#outbox.waiting;
  }

  /** Of a state the newest alone is of use. */
  sendState(state: SystemState): void {
    if (this.#options.remotePolicy)
      this.#send(sharedTopic("states"), encodeState(state), { replaces: "state" });
  }

  sendPacket(packet: TelemetryPacket): void {
    const lane = packet.route === "emergency" || packet.level === "CRITICAL" ? "emergency" : "normal";
    this.#send(sharedTopic("telemetry"), encodeTelemetry(packet), { lane });
  }

  /** Acknowledges a command, and reports what became of it. An entry that nobody waits for is ignored. */
  answer(entryId: string, outcome: CommandOutcome): void {
    const { trainingRunId } = this.#options;
    this.#unanswered.get(entryId)?.resolve();
    this.#unanswered.delete(entryId);
    this.#send(sharedTopic("outcomes"), encodeOutcome({ ...outcome, trainingRunId }), {});
  }

  /**
   * Takes no more commands; what was not answered goes back to the bus.
   * @param ended whether the run is over: then its own streams are taken away
   */
  async close({ ended }: { readonly ended: boolean }): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { reject } of this.#unanswered.values())
      reject(new KasminaError("canceled", "the run ended before it answered the command"));
    this.#unanswered.clear();
    await this.#quietly(this.#subscription?.close());
    const { bus, trainingRunId } = this.#options;
    if (ended && bus.isUp)
      for (const stream of RUN_STREAMS) await this.#quietly(bus.removeTopic(runTopic(stream, trainingRunId)));
    await this.#outbox.close();
  }

  #take(message: Message): Promise<void> {
    const entryId = entryOf(message);
    const known = this.#unanswered.get(entryId);
    if (known) return known.promise;
    const answered = deferred<void>();
    this.#unanswered.set(entryId, answered);
    this.#options.onCommand({ entryId, envelope: message.payload });
    return answered.promise;
  }

  #send(topic: string, payload: Uint8Array, options: Parameters<Outbox["publish"]>[2]): void {
    void this.#quietly(this.#outbox.publish(topic, payload, options));
  }

  #lookLater(): void {
    this.#timer = this.#clock.setTimer(() => {
      void this.#look().finally(() => {
        if (!this.#closed) this.#lookLater();
      });
    }, this.#options.lookMs ?? LOOK_MS);
  }

  async #look(): Promise<void> {
    const missing = await this.#lacking();
    if (missing.join() === this.#missing || this.#closed) return;
    this.#missing = missing.join();
    this.#options.onMissing?.(missing);
  }

  async #lacking(): Promise<readonly string[]> {
    const { bus, trainingRunId, remotePolicy } = this.#options;
    if (!bus.isUp) return remotePolicy ? ["oona", "tamiyo"] : ["oona"];
    if (this.#outbox.waiting > 0) this.#outbox.wake();
    if (!remotePolicy || ++this.#looks < LOOKS_UNTIL_MISSING) return [];
    const held = await bus.hasLeaseHolder(runTopic("commands", trainingRunId)).catch(() => false);
    return held ? [] : ["tamiyo"];
  }

  async #quietly(work: Promise<unknown> | undefined): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#options.onProblem?.(messageOf(error));
    }
  }
}

/** Each lane counts for itself: two entries of the same millisecond have one id. */
function entryOf({ lane, entryId }: Message): string {
  return lane === "normal" ? entryId : `${lane}/${entryId}`;
}

/** The bus as the outbox sees it. */
function signing({ bus, keys }: BusLinkOptions): OutboxOptions["bus"] {
  const messages = new SignedMessages({ port: bus, keys });
  return {
    publish: (topic, payload, options) => messages.publish(topic, payload, options),
    get isUp() {
      return bus.isUp;
    },
  };
}
