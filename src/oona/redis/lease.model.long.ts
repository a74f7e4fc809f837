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

/** Acts of a process, weighted towards those that matter. */
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
class Model {
  /** The lease that counts. */
  holder: TopicLease | undefined;
  memory: string | undefined;
  published: string[] = [];
  fence = 0;
}

const isFenced = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    (error: { readonly code?: string }) => {
      expect(error.code).toBe("illegal_state");
      return true;
    },
  );

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

  let topics = 0;
  const play = async (schedule: readonly Move[]): Promise<void> => {
    const topic = `t${++topics}`;
    let model = new Model();
    const leases: TopicLease[][] = buses.map(() => []);
    let words = 0;
    for (const { act, process, lease: which } of schedule) {
      const own = leases[process] ?? [];
      const lease = own[which % Math.max(1, own.length)];
      const isHolder = lease !== undefined && lease === model.holder;
      const word = `${++words}`;
      switch (act) {
        case "acquire": {
          const taken = await buses[process]?.acquireLease(topic, TTL_MS);
          expect(taken === undefined).toBe(model.holder !== undefined);
          if (!taken) break;
          expect(taken.fence).toBe(++model.fence);
          own.push(taken);
          model.holder = taken;
          break;
        }
        case "renew":
          if (lease) expect(await lease.renew()).toBe(isHolder);
          break;
        case "release":
          await lease?.release();
          if (isHolder) model.holder = undefined;
          break;
        case "keep":
          if (!lease) break;
          expect(await isFenced(lease.keep(utf8(word)))).toBe(!isHolder);
          if (isHolder) model.memory = word;
          break;
        case "recall": {
          const bytes = await lease?.recall();
          if (lease) expect(bytes && new TextDecoder().decode(bytes)).toBe(model.memory);
          break;
        }
        case "publish":
          if (!lease) break;
          expect(await isFenced(lease.publish(utf8(word)))).toBe(!isHolder);
          if (isHolder) model.published.push(word);
          break;
        case "run out":
          await redis.command(`DEL oona:{${topic}}:lease`);
          model.holder = undefined;
          break;
        case "forget":
          await redis.command("FLUSHALL");
          model = new Model();
          break;
        default:
          act satisfies never;
      }
    }
    const stored = await redis.command(`XRANGE oona:{${topic}}:normal - +`);
    const payloads = [...stored.matchAll(/payload\r\n\$\d+\r\n(\d+)\r\n/g)].map(([, word]) => word);
    expect(payloads).toEqual(model.published);
  };

  test("one process at a time commands, whatever the others believe", async () => {
    await fc.assert(fc.asyncProperty(moves, play), { numRuns: 300 });
  });
});
