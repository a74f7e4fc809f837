import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import { ManualClock } from "../base/index.js";
import { busConformance } from "./bus.conformance.js";
import { RedisServer, redisServer } from "./redis-server.fixture.js";
import { RedisStreamsBus } from "./redis-streams.js";

describe.skipIf(!redisServer)("on Redis", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  /** Waits until Redis gets no command any more but these questions themselves. */
  async function settle(): Promise<void> {
    let [before, still] = [-1, 0];
    while (still < 3) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = Number(/total_commands_processed:(\d+)/.exec(await redis.command("INFO stats"))?.[1]);
      still = now === before + 1 ? still + 1 : 0;
      before = now;
    }
  }

  busConformance("Redis Streams", async (limits) => {
    const clock = new ManualClock();
    const bus = await RedisStreamsBus.open({ ...limits, url: redis.url, prefix: randomUUID(), clock });
    const elapse = async (ms: number): Promise<void> => {
      await settle();
      for (let passed = 0; passed < ms; passed += 50) {
        clock.advance(Math.min(50, ms - passed));
        await settle();
      }
    };
    return { bus, elapse };
  });
});
