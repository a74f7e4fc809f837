/**
 * The lease against a model, over a real Redis: three processes take, renew, keep, publish and give back in any order, while
 * leases run out, Redis forgets everything, and processes go on with leases that they lost long ago. In the model one process
 * holds the topic or none does; whatever the others try changes nothing.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8 } from "../../base/index.js";
import { RedisServer, redisServer } from "../redis-server.fixture.js";
import { RedisStreamsBus } from "../redis-streams.js";
import type { TopicLease } from "./lease.js";

const PROCESSES = 3;
/** Longer than a schedule takes: a lease runs out where the schedule says so. */
const TTL_MS = 600_000;

type Act = "acquire" | "renew" | "release" | "keep" | "recall" | "publish" | "run out" | "forget";

interface Move {
  readonly act: Act;
  readonly process: number;
  /** Which of the leases that the process ever had. */
  readonly lease: number;
}

/** Those that matter come more often. */
const acts = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Act>("acquire") },
  { weight: 4, arbitrary: fc.constant<Act>("publish") },
  { weight: 2, arbitrary: fc.constantFrom<Act>("renew", "keep", "recall", "run out") },
  { weight: 1, arbitrary: fc.constantFrom<Act>("release", "forget") },
);
const moves = fc.array(fc.record({ act: acts, process: fc.nat(PROCESSES - 1), lease: fc.nat(9) }), {
  minLength: 5,
  maxLength: 40,
});

/** What is true, in plain values. */
interface Model {
  /** The lease that counts. */
  holder?: TopicLease;
  memory?: string;
  fence: number;
  readonly published: string[];
}

/** One schedule: what the processes do over Redis, each answer held against the model. */
class Schedule {
  readonly #topic: string;
  readonly #redis: RedisServer;
  readonly #buses: readonly RedisStreamsBus[];
  /** Every lease that a process ever had. */
  readonly #leases: readonly TopicLease[][];
  #model: Model = { fence: 0, published: [] };
  #words = 0;

  constructor(topic: string, redis: RedisServer, buses: readonly RedisStreamsBus[]) {
    this.#topic = topic;
    this.#redis = redis;
    this.#buses = buses;
    this.#leases = buses.map(() => []);
  }

  async make({ act, process, lease: which }: Move): Promise<void> {
    if (act === "acquire") return this.#acquire(process);
    if (act === "run out") return this.#runOut();
    if (act === "forget") return this.#forget();
    const own = this.#leases[process] ?? [];
    const lease = own[which % Math.max(1, own.length)];
    if (lease) await this.#use[act](lease, lease === this.#model.holder);
  }

  async end(): Promise<void> {
    const stored = await this.#redis.command(`XRANGE oona:{${this.#topic}}:normal - +`);
    const payloads = [...stored.matchAll(/payload\r\n\$\d+\r\n(\d+)\r\n/g)].map(([, word]) => word);
    expect(payloads).toEqual(this.#model.published);
  }

  async #acquire(process: number): Promise<void> {
    const taken = await this.#buses[process]?.acquireLease(this.#topic, TTL_MS);
    expect(taken === undefined).toBe(this.#model.holder !== undefined);
    if (!taken) return;
    expect(taken.fence).toBe(++this.#model.fence);
    this.#leases[process]?.push(taken);
    this.#model.holder = taken;
  }

  async #runOut(): Promise<void> {
    await this.#redis.command(`DEL oona:{${this.#topic}}:lease`);
    delete this.#model.holder;
  }

  async #forget(): Promise<void> {
    await this.#redis.command("FLUSHALL");
    this.#model = { fence: 0, published: [] };
  }

  readonly #use: Readonly<
    Record<
      Exclude<Act, "acquire" | "run out" | "forget">,
      (lease: TopicLease, isHolder: boolean) => Promise<void>
    >
  > = {
    renew: async (lease, isHolder) => expect(await lease.renew()).toBe(isHolder),
    release: async (lease, isHolder) => {
      await lease.release();
      if (isHolder) delete this.#model.holder;
    },
    keep: async (lease, isHolder) => {
      const word = `${++this.#words}`;
      expect(await isFenced(lease.keep(utf8(word)))).toBe(!isHolder);
      if (isHolder) this.#model.memory = word;
    },
    recall: async (lease) => {
      const bytes = await lease.recall();
      expect(bytes && new TextDecoder().decode(bytes)).toBe(this.#model.memory);
    },
    publish: async (lease, isHolder) => {
      const word = `${++this.#words}`;
      expect(await isFenced(lease.publish(utf8(word)))).toBe(!isHolder);
      if (isHolder) this.#model.published.push(word);
    },
  };
}

function isFenced(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => false,
    (error: unknown) => {
      expect(error).toMatchObject({ code: "illegal_state" });
      return true;
    },
  );
}

describe.skipIf(!redisServer)("a topic's lease", () => {
  let redis: RedisServer;
  const buses: RedisStreamsBus[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
    for (let i = 0; i < PROCESSES; i++) buses.push(await RedisStreamsBus.open({ url: redis.url }));
  });
  afterAll(async () => {
    for (const bus of buses) await bus.close();
    await redis?.stop();
  });

  test("one process at a time commands, whatever the others believe", async () => {
    let topics = 0;
    const play = async (schedule: readonly Move[]): Promise<void> => {
      const topic = new Schedule(`t${++topics}`, redis, buses);
      for (const move of schedule) await topic.make(move);
      await topic.end();
    };
    await fc.assert(fc.asyncProperty(moves, play), { numRuns: 300 });
  });
});
