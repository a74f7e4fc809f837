/**
 * Commands to 20 simulated and 2 real runs over one Redis that is killed, frozen, and whose users lose their rights, again and
 * again: every command has one effect, by the journals. Then over one that is emptied, or replaced by a replica that lags:
 * no command has two, and each that has none was named as lost.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { runTopic } from "../src/contracts/index.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { TcpProxy } from "../src/oona/tcp-proxy.fixture.js";
import { CommandedFleet, type Sent } from "./support/commanded-fleet.js";
import { times } from "./support/full-counts.js";

const SIMULATED = 20;
const REAL = 2;
const FAULTS = times(5, 100);
const LOSSES = times(4, 40);
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];
const RIGHTS =
  "-@all +@stream +@scripting +@connection +hget +hmget +hset +hincrby +sadd +srem +sismember +exists +pexpire +persist +del +info +get +set +incr";
/** In which all that was sent must be done, once Redis is there again. */
const CATCH_UP_MS = 30_000;
const TEST_MS = 3_600_000;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-fleet-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startFleet(
  url: string,
  { runsUrl = url, real = 0 }: { readonly runsUrl?: string; readonly real?: number },
): Promise<CommandedFleet> {
  const folder = newFolder();
  const fleet = await CommandedFleet.start({ url, runsUrl, folder, simulated: SIMULATED, real });
  ends.push(() => fleet.kill());
  return fleet;
}

type Fault = (redis: RedisServer, random: Random) => Promise<void>;

const FAULT: Readonly<Record<string, Fault>> = {
  "killed with kill -9": async (redis, random) => {
    await redis.kill();
    await pause(random.below(1_500));
    await redis.up();
  },
  "frozen for up to 8 s": async (redis, random) => {
    redis.freeze();
    await pause(200 + random.below(8_000));
    redis.thaw();
  },
  "paused by CLIENT PAUSE": async (redis, random) => {
    await redis.command(`CLIENT PAUSE ${200 + random.below(3_000)} ALL`);
  },
  "another password, connections ended": async (redis, random) => {
    await redis.command("ACL SETUSER bus resetpass >two");
    await redis.command("CLIENT KILL USER bus");
    await pause(random.below(2_000));
    await redis.command("ACL SETUSER bus resetpass >one");
  },
  "rights taken away while connected": async (redis, random) => {
    await redis.command(`ACL SETUSER bus ${["-xadd", "-xreadgroup", "-xack", "-evalsha"][random.below(4)]}`);
    await pause(random.below(2_000));
    await redis.command(`ACL SETUSER bus ${RIGHTS}`);
  },
};

/** Ids of commands, so many times as each is there. */
function counted(ids: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

function repeatedIn(applied: ReadonlyMap<string, readonly string[]>): readonly string[] {
  return [...applied].flatMap(([runId, ids]) =>
    [...counted(ids)].filter(([, times]) => times > 1).map(([id]) => `${runId} ${id}`),
  );
}

/** Effects of the simulated runs that came about more than once. */
function repeatedEffects({ simulated }: CommandedFleet): readonly number[] {
  return simulated.flatMap(({ effects }) => effects.filter((rate, at) => effects.indexOf(rate) !== at));
}

test.skipIf(!redisServer)(
  `Redis away ${FAULTS} times under load: every command has one effect, and nothing hangs`,
  { timeout: TEST_MS },
  async () => {
    const redis = await RedisServer.startWithUsers(`user bus on >one ~oona:* &* ${RIGHTS}\n`, DURABLE);
    ends.push(() => redis.stop());
    const fleet = await startFleet(`redis://bus:one@127.0.0.1:${redis.port}`, { real: REAL });
    const random = Random.forLabel(7, "fleet faults");
    const kinds = Object.keys(FAULT);
    // What was refused because Redis was away for too long, its sender knows of.
    const isDone = ({ commandId, problem }: Sent): boolean =>
      fleet.answered.has(commandId) || problem !== undefined;
    for (let i = 0; i < FAULTS; i++) {
      const kind = kinds[i % kinds.length] ?? "";
      await pause(300 + random.below(1_500));
      await FAULT[kind]?.(redis, random);
      const until = fleet.sent.length;
      const left = (): readonly Sent[] => fleet.sent.slice(0, until).filter((sent) => !isDone(sent));
      await expect.poll(left, { timeout: CATCH_UP_MS, message: `${i}: ${kind}` }).toEqual([]);
    }
    await fleet.pause();
    await expect.poll(() => fleet.waiting, { timeout: CATCH_UP_MS }).toBe(0);
    await expect.poll(() => fleet.sent.filter((sent) => !isDone(sent)), { timeout: CATCH_UP_MS }).toEqual([]);
    // A simulated run takes a command into effect some steps after it has answered it.
    const confirmed = fleet.sent.filter(({ entryId }) => entryId !== undefined);
    const rates = confirmed.filter(({ runId }) => runId.startsWith("run-")).map(({ rate }) => rate);
    const effects = () => new Set(fleet.simulated.flatMap((run) => run.effects));
    await expect.poll(() => rates.filter((rate) => !effects().has(rate))).toEqual([]);

    const applied = await fleet.end();
    expect(applied.size).toBe(SIMULATED + REAL);
    expect(repeatedIn(applied)).toEqual([]);
    expect(repeatedEffects(fleet)).toEqual([]);
    expect(confirmed.filter(({ runId, commandId }) => !applied.get(runId)?.includes(commandId))).toEqual([]);
    expect(fleet.lost).toEqual([]);
    expect(confirmed.length).toBeGreaterThan(0.9 * fleet.sent.length);
    const refused = fleet.sent.length - confirmed.length;
    console.log(`${FAULTS} faults: ${confirmed.length} commands applied once each, ${refused} refused`);
  },
);

test.skipIf(!redisServer)(
  `Redis emptied, or replaced by a replica that lags, ${LOSSES} times: none doubled, and each lost one is named`,
  { timeout: TEST_MS },
  async () => {
    const servers = [await RedisServer.start(DURABLE), await RedisServer.start(DURABLE)];
    for (const server of servers) ends.push(() => server.stop());
    let [master, replica] = servers as [RedisServer, RedisServer];
    const [commander, runs] = [await TcpProxy.open(master.port), await TcpProxy.open(master.port)];
    ends.push(() => commander.close());
    ends.push(() => runs.close());
    const fleet = await startFleet(commander.url, { runsUrl: runs.url });
    const random = Random.forLabel(8, "fleet losses");
    for (let i = 0; i < LOSSES; i++) {
      await pause(500 + random.below(1_500));
      const isEmptied = i % 2 === 0;
      if (!isEmptied) {
        await replica.command(`REPLICAOF 127.0.0.1 ${master.port}`);
        await expect.poll(() => replica.command("INFO replication")).toContain("master_link_status:up");
        await replica.command("REPLICAOF NO ONE");
      }
      // What is confirmed from here on reaches no run, and is lost with this Redis.
      runs.partition();
      await pause(random.below(700));
      if (isEmptied) await master.command("FLUSHALL");
      else [master, replica] = [replica, master];
      commander.retarget(master.port);
      runs.heal();
      runs.retarget(master.port);
    }
    await pause(3_000);
    await fleet.pause();
    // Until nothing more arrives: what is not here by then is lost.
    const done = () => fleet.answered.size;
    for (let before = -1; before !== done(); await pause(CATCH_UP_MS / 3)) before = done();

    const lost = new Set(fleet.lost);
    const applied = await fleet.end();
    expect(repeatedIn(applied)).toEqual([]);
    expect(repeatedEffects(fleet)).toEqual([]);
    const missing = fleet.sent.filter(
      ({ runId, commandId, entryId }) => entryId !== undefined && !applied.get(runId)?.includes(commandId),
    );
    // One that came too late was refused by its run, which its sender was told.
    const unnamed = missing.filter(
      ({ runId, commandId, entryId }) =>
        !fleet.answered.has(commandId) && !lost.has(`${runTopic("commands", runId)} ${entryId}`),
    );
    expect(unnamed).toEqual([]);
    // Or it shows nothing.
    expect(missing.length).toBeGreaterThan(0);
    console.log(
      `${LOSSES} losses, ${fleet.sent.length} commands, ${missing.length} lost, ${lost.size} named`,
    );
  },
);
