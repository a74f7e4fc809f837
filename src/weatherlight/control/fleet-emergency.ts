/**
 * One emergency command to every run on a bus, and which of them answered. The runs are those that have a stream of commands:
 * a run makes it when it joins and takes it away when it ends, and one that was stopped leaves it, so that nobody is forgotten.
 */
import { randomUUID } from "node:crypto";
import { type Clock, KasminaError, messageOf, systemClock } from "../../base/index.js";
import {
  type CommandOutcome,
  CommandSigner,
  decodeOutcome,
  type EmergencyLevel,
  type KeyRing,
  mayOrder,
  RUN_GROUP,
  type RunOutcome,
  runTopic,
  SignedMessages,
  STREAMS,
  sharedTopic,
} from "../../contracts/index.js";
import { RedisStreamsBus } from "../../oona/index.node.js";

export interface FleetEmergencyOptions {
  readonly bus: RedisStreamsBus;
  /** The active one signs; its role must allow emergencies. The runs' own verify their answers. */
  readonly keys: KeyRing;
  readonly level: EmergencyLevel;
  /** For the runs' logs. */
  readonly reason: string;
  /** Who orders it, where the key speaks for nobody. */
  readonly issuedBy: string;
  /** Longest wait for answers, in ms. Default 10 s. */
  readonly waitMs?: number;
  readonly clock?: Clock;
}

/** What became of the command at one run. */
export type FleetAnswer = { readonly trainingRunId: string } & (
  | { readonly kind: "answered"; readonly outcome: CommandOutcome }
  /** It ended, in order, before it answered. */
  | { readonly kind: "ended" }
  /** No answer in time; `lastAskedMs` ago it last asked for messages: within a second or two its process lives. */
  | { readonly kind: "silent"; readonly lastAskedMs: number | undefined }
  /** The bus did not take the command. */
  | { readonly kind: "unsent"; readonly problem: string }
);

const WAIT_MS = 10_000;
/** How often is looked for runs that have come since. */
const LOOK_MS = 250;

/** {@link commandFleet} over a connection of its own. @param prefix before every key in Redis; default: oona */
export async function commandFleetAt(
  { url, prefix }: { readonly url: string; readonly prefix?: string | undefined },
  options: Omit<FleetEmergencyOptions, "bus">,
): Promise<readonly FleetAnswer[]> {
  const bus = await RedisStreamsBus.open({ url, name: "operator", ...(prefix !== undefined && { prefix }) });
  try {
    return await commandFleet({ ...options, bus });
  } finally {
    await bus.close();
  }
}

/**
 * Sends each run the command on its emergency lane and waits for the answers. Runs that join the bus meanwhile get it too.
 *
 * @returns one answer a run, by the id of the run
 * Rejects with KasminaError `invalid_argument` where the key that signs may order no emergency, `unavailable` where the bus is away.
 */
export async function commandFleet(options: FleetEmergencyOptions): Promise<readonly FleetAnswer[]> {
  const { keys, bus } = options;
  const { id, role } = keys.active;
  if (!mayOrder(role, "EMERGENCY"))
    throw new KasminaError(
      "invalid_argument",
      `the key that signs, ${id}, has the role ${role}: an emergency needs safety or operator`,
    );
  const fleet = new Fleet(options);
  const messages = new SignedMessages({ port: bus, keys });
  const answers = await messages.subscribe(
    sharedTopic("outcomes"),
    `emergency-${randomUUID()}`,
    ({ payload }) => fleet.receive(decodeOutcome(payload)),
    { durable: false, maxInFlight: 256 },
  );
  try {
    return await fleet.command();
  } finally {
    await answers.close();
  }
}

class Fleet {
  readonly #options: FleetEmergencyOptions;
  readonly #clock: Clock;
  readonly #signer: CommandSigner;
  /** The command is one, whoever it is for. */
  readonly #commandId = `emergency-${randomUUID()}`;
  readonly #sent = new Map<string, FleetAnswer | undefined>();

  constructor(options: FleetEmergencyOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#signer = new CommandSigner({ keys: options.keys, clock: this.#clock });
  }

  receive({ trainingRunId, ...outcome }: RunOutcome): void {
    if (outcome.commandId !== this.#commandId || !this.#sent.has(trainingRunId)) return;
    this.#sent.set(trainingRunId, { trainingRunId, kind: "answered", outcome });
  }

  async command(): Promise<readonly FleetAnswer[]> {
    const untilMs = this.#clock.monotonicMs() + (this.#options.waitMs ?? WAIT_MS);
    while ((await this.#look()) > 0 || this.#unanswered.length > 0) {
      if (this.#clock.monotonicMs() >= untilMs) break;
      await new Promise<void>((resolve) => this.#clock.setTimer(resolve, LOOK_MS));
    }
    for (const id of this.#unanswered) this.#sent.set(id, await this.#silence(id));
    return [...this.#sent.values()]
      .flatMap((answer) => (answer ? [answer] : []))
      .sort((a, b) => (a.trainingRunId < b.trainingRunId ? -1 : 1));
  }

  get #unanswered(): readonly string[] {
    return [...this.#sent].flatMap(([id, answer]) => (answer ? [] : [id]));
  }

  /** Sends it to runs that have come, and notices those that have ended. @returns how many have come */
  async #look(): Promise<number> {
    const { topic } = STREAMS.commands;
    const topics = await this.#options.bus.topicsBelow(topic);
    const ids = new Set(topics.map((each) => decodeURIComponent(each.slice(topic.length + 1))));
    const fresh = [...ids].filter((id) => !this.#sent.has(id));
    for (const id of this.#unanswered)
      if (!ids.has(id)) this.#sent.set(id, { trainingRunId: id, kind: "ended" });
    for (const id of fresh) this.#sent.set(id, undefined);
    await Promise.all(fresh.map((id) => this.#send(id)));
    return fresh.length;
  }

  async #send(trainingRunId: string): Promise<void> {
    const { bus, keys, level, reason, issuedBy } = this.#options;
    const envelope = this.#signer.sign({
      ...{ commandId: this.#commandId, trainingRunId, issuedBy: keys.active.issuer ?? issuedBy },
      order: { kind: "EMERGENCY", level, reason },
    });
    try {
      await bus.publish(runTopic("commands", trainingRunId), envelope, { lane: "emergency" });
    } catch (error) {
      this.#sent.set(trainingRunId, { trainingRunId, kind: "unsent", problem: messageOf(error) });
    }
  }

  /** A run that ended took its streams away; the command may have made one of them anew. */
  async #silence(trainingRunId: string): Promise<FleetAnswer> {
    const { bus } = this.#options;
    const topic = runTopic("commands", trainingRunId);
    if (await bus.stats(topic, RUN_GROUP)) {
      const lastAskedMs = await bus.lastAskedMs(topic, RUN_GROUP);
      return { trainingRunId, kind: "silent", lastAskedMs };
    }
    await bus.removeTopic(topic);
    return { trainingRunId, kind: "ended" };
  }
}
