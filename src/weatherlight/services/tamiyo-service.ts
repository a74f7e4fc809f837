/**
 * The policy of all runs that meet on a bus: states come in, signed commands go out. Any number of instances may serve: each
 * sees every state, and a run is the one's that holds its lease; when that one is gone another takes it within the
 * lease's time, and goes on with what the last one remembered.
 */
import { randomUUID } from "node:crypto";
import {
  type Clock,
  fromJsonText,
  KasminaError,
  messageOf,
  percentile,
  systemClock,
  type Timer,
  toJsonText,
  utf8,
} from "../../base/index.js";
import {
  CommandSigner,
  decodeState,
  type KeyRing,
  type Message,
  runTopic,
  SignedMessages,
  type Subscription,
  type SystemState,
  sharedTopic,
} from "../../contracts/index.js";
import type { RedisStreamsBus, TopicLease } from "../../oona/index.node.js";
import { type GrowthCosts, type Policy, Tamiyo } from "../../tamiyo/index.js";
import type { Service } from "./service.js";

export interface TamiyoServiceOptions {
  readonly bus: RedisStreamsBus;
  /** Signs commands, and verifies states. */
  readonly keys: KeyRing;
  /** A policy of its own for each run. */
  readonly policyFor: (trainingRunId: string) => Policy;
  /** What growth costs in a run, where it follows from its state. */
  readonly costs?: GrowthCosts;
  readonly clock?: Clock;
  /** A run is free for another instance so long after its own has gone. Default 10 s. */
  readonly leaseMs?: number;
  /** A run that has sent nothing for so long is let go. Default 10 min. */
  readonly idleMs?: number;
  /** Receives one line about what went wrong. Must not throw. */
  readonly onProblem?: (problem: string) => void;
}

interface OwnedRun {
  /** In the ids of its commands. */
  readonly name: string;
  readonly lease: TopicLease;
  readonly tamiyo: Tamiyo;
  lastSeenMs: number;
  /** States are handled one after the other. */
  busy: Promise<void>;
  /** Commands that the policy has just decided on. */
  readonly decided: Uint8Array[];
  /** What the lease holds for the next holder, as text; what has not changed is not kept again. */
  kept: string;
}

/** What outlives the instance. */
interface RunMemory {
  /** Left out by instances of the time before it was kept. */
  readonly name?: string;
  readonly version: string;
  readonly sent: number;
  readonly policy: unknown;
}

const LEASE_MS = 10_000;
const IDLE_MS = 600_000;
const MAX_LAST_KEPT = 10_000;
/** Of each kind kept for the figures. */
const MAX_TIMES = 2_048;

export class TamiyoService implements Service {
  readonly name = "tamiyo";
  readonly #options: TamiyoServiceOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #messages: SignedMessages;
  readonly #runs = new Map<string, OwnedRun>();
  /** Runs that are another's, and when to ask again. */
  readonly #othersUntil = new Map<string, number>();
  readonly #taking = new Map<string, Promise<OwnedRun | undefined>>();
  /** What was known of runs whose lease was lost, oldest first: of use where Redis has forgotten its memory with the lease. */
  readonly #lastKept = new Map<string, RunMemory>();
  readonly #counts = { states: 0, commands: 0, refused: 0, leasesLost: 0 };
  /** From a state's arrival until its commands were signed, and until Redis had them. */
  readonly #signedMs = new LatestTimes();
  readonly #sentMs = new LatestTimes();
  #subscription: Subscription | undefined;
  #renewal: Timer | undefined;
  #closed = false;

  static async open(options: TamiyoServiceOptions): Promise<TamiyoService> {
    const service = new TamiyoService(options);
    const take = (message: Message): Promise<void> => service.#take(message);
    // A group of its own: it sees the states of all runs, and collects none when it is gone.
    service.#subscription = await service.#messages.subscribe(
      sharedTopic("states"),
      `tamiyo-${randomUUID()}`,
      take,
      {
        durable: false,
        maxInFlight: 256,
      },
    );
    service.#renewLater();
    return service;
  }

  private constructor(options: TamiyoServiceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#messages = new SignedMessages({
      port: options.bus,
      keys: options.keys,
      onRefused: ({ entryId, reason }) => {
        this.#counts.refused++;
        this.#report(`state ${entryId} is refused: ${reason}`);
      },
    });
  }

  problem(): string | undefined {
    if (this.#closed) return "it is ending";
    return this.#options.bus.isUp ? undefined : "Redis cannot be reached";
  }

  status() {
    return {
      runs: [...this.#runs.keys()],
      ...this.#counts,
      signed_ms: this.#signedMs.quantiles(),
      decision_ms: this.#sentMs.quantiles(),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#renewal?.cancel();
    await this.#subscription?.close();
    await Promise.allSettled([...this.#runs.values()].map(({ busy }) => busy));
    await Promise.allSettled([...this.#runs.values()].map(({ lease }) => lease.release()));
    this.#runs.clear();
  }

  async #take({ payload }: Message): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    const state = decodeState(payload);
    const run = await this.#runOf(state.trainingRunId);
    if (!run) return;
    run.lastSeenMs = this.#clock.monotonicMs();
    run.busy = run.busy.then(() => this.#decide(run, state, startedMs));
    await run.busy;
    this.#sentMs.add(this.#clock.monotonicMs() - startedMs);
  }

  /** Undefined where it is another instance's. */
  async #runOf(id: string): Promise<OwnedRun | undefined> {
    const known = this.#runs.get(id);
    if (known) return known;
    if ((this.#othersUntil.get(id) ?? 0) > this.#clock.monotonicMs() || this.#closed) return undefined;
    const taking = this.#taking.get(id) ?? this.#acquire(id).finally(() => this.#taking.delete(id));
    this.#taking.set(id, taking);
    return taking;
  }

  async #acquire(id: string): Promise<OwnedRun | undefined> {
    const lease = await this.#options.bus.acquireLease(runTopic("commands", id), this.#leaseMs);
    if (!lease) {
      // Who has it goes on from there: what this one knew last is old.
      this.#lastKept.delete(id);
      this.#othersUntil.set(id, this.#clock.monotonicMs() + this.#leaseMs / 3);
      return undefined;
    }
    this.#othersUntil.delete(id);
    const decided: Uint8Array[] = [];
    const bytes = await lease.recall();
    const recalled = bytes && (fromJsonText(new TextDecoder().decode(bytes)) as RunMemory);
    // Where Redis was emptied, nobody knows which ids have been used: they begin with another name.
    const name = recalled?.name ?? `tamiyo-${randomUUID()}`;
    const tamiyo = new Tamiyo({
      name,
      policy: this.#options.policyFor(id),
      signer: new CommandSigner({ keys: this.#options.keys, clock: this.#clock }),
      trainingRunId: id,
      send: (envelope) => void decided.push(envelope),
      ...(this.#options.costs && { costs: this.#options.costs }),
    });
    remember(tamiyo, recalled ?? this.#lastKept.get(id));
    this.#lastKept.delete(id);
    const run: OwnedRun = {
      ...{ name, lease, tamiyo, decided, kept: "" },
      lastSeenMs: this.#clock.monotonicMs(),
      busy: Promise.resolve(),
    };
    this.#runs.set(id, run);
    return run;
  }

  async #decide(run: OwnedRun, state: SystemState, arrivedMs: number): Promise<void> {
    const { trainingRunId } = state;
    if (this.#runs.get(trainingRunId) !== run) return;
    this.#counts.states++;
    try {
      run.tamiyo.observe(state);
      this.#signedMs.add(this.#clock.monotonicMs() - arrivedMs);
      // Kept before it is sent: an instance that dies in between sends nothing twice, and asks again a little later.
      const memory = toJsonText(memoryOf(run));
      if (memory !== run.kept) await run.lease.keep(utf8(memory));
      run.kept = memory;
      for (const envelope of run.decided.splice(0)) {
        await run.lease.publish(envelope);
        this.#counts.commands++;
      }
    } catch (error) {
      run.decided.length = 0;
      if (error instanceof KasminaError && error.code === "illegal_state") this.#lose(trainingRunId, run);
      else this.#report(`${trainingRunId}: ${messageOf(error)}`);
    }
  }

  #lose(id: string, run: OwnedRun): void {
    if (this.#runs.get(id) !== run) return;
    this.#runs.delete(id);
    this.#lastKept.set(id, memoryOf(run));
    const [oldest] = this.#lastKept.keys();
    if (this.#lastKept.size > MAX_LAST_KEPT && oldest !== undefined) this.#lastKept.delete(oldest);
    this.#counts.leasesLost++;
    this.#report(`${id} is another instance's by now`);
  }

  #renewLater(): void {
    this.#renewal = this.#clock.setTimer(() => {
      void this.#renewAll().finally(() => {
        if (!this.#closed) this.#renewLater();
      });
    }, this.#leaseMs / 3);
  }

  async #renewAll(): Promise<void> {
    const idleSinceMs = this.#clock.monotonicMs() - (this.#options.idleMs ?? IDLE_MS);
    for (const [id, until] of this.#othersUntil) if (until < idleSinceMs) this.#othersUntil.delete(id);
    const renew = async ([id, run]: [string, OwnedRun]): Promise<void> => {
      if (run.lastSeenMs < idleSinceMs) {
        this.#runs.delete(id);
        await run.lease.release();
      } else if (!(await run.lease.renew())) this.#lose(id, run);
    };
    await Promise.allSettled([...this.#runs].map(renew));
  }

  #report(problem: string): void {
    this.#options.onProblem?.(problem);
  }
}

function memoryOf({ name, tamiyo: { policy, sent } }: OwnedRun): RunMemory {
  return { name, version: policy.version, sent, policy: policy.snapshot() };
}

/** What a policy of another version remembered is of no use to this one; the count of commands goes on all the same. */
function remember(tamiyo: Tamiyo, memory: RunMemory | undefined): void {
  if (memory === undefined) return;
  tamiyo.restoreSent(memory.sent);
  if (memory.version === tamiyo.policy.version) tamiyo.policy.restore(memory.policy);
}

/** The latest of many durations, in ms. */
class LatestTimes {
  readonly #times: number[] = [];

  add(ms: number): void {
    this.#times.push(ms);
    if (this.#times.length > MAX_TIMES) this.#times.shift();
  }

  quantiles() {
    const at = (share: number): number | null =>
      this.#times.length === 0 ? null : percentile(this.#times, share);
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
