/** The bus on Redis while Redis, the way to it, or another process of a group goes away. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { messageOf, systemClock, utf8 } from "../base/index.js";
import type { Message } from "../contracts/index.js";
import { RedisServer, redisServer } from "./redis-server.fixture.js";
import { type BusNotice, type RedisBusOptions, RedisStreamsBus } from "./redis-streams.js";
import { TcpProxy } from "./tcp-proxy.fixture.js";

const LIMITS = { ackTimeoutMs: 300, redeliveryMs: 20, maxDeliveries: 3, maxQueued: 200 };
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];
const text = ({ payload }: Message): string => new TextDecoder().decode(payload);
const never = (): Promise<void> => new Promise(() => {});

describe.skipIf(!redisServer)("the bus on Redis", () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const serve = async (settings: readonly string[] = []): Promise<RedisServer> => {
    const redis = await RedisServer.start(settings);
    ends.push(() => redis.stop());
    return redis;
  };
  const open = async (url: string, options: Partial<RedisBusOptions> = {}) => {
    const notices: BusNotice[] = [];
    const bus = await RedisStreamsBus.open({
      url,
      ...LIMITS,
      ...options,
      onNotice: (notice) => notices.push(notice),
    });
    ends.push(() => bus.close());
    return { bus, notices };
  };
  const collect = async (bus: RedisStreamsBus, topic = "t", group = "g"): Promise<string[]> => {
    const seen: string[] = [];
    await bus.subscribe(topic, group, (message) => void seen.push(text(message)));
    return seen;
  };
  const lostIn = (notices: readonly BusNotice[]) =>
    notices.flatMap((notice) => (notice.kind === "lost" ? notice.entryIds : []));

  test("two processes of a group share its messages, and one that closes hands back what it holds", async () => {
    const redis = await serve();
    const { bus: a } = await open(redis.url, { ackTimeoutMs: 60_000 });
    const { bus: b } = await open(redis.url);
    const held: string[] = [];
    await a.subscribe("t", "g", (message) => {
      held.push(text(message));
      return never();
    });
    for (const word of ["1", "2", "3"]) await a.publish("t", utf8(word));
    await expect.poll(() => held).toEqual(["1", "2", "3"]);
    const deliveries: string[] = [];
    await b.subscribe("t", "g", (message) => void deliveries.push(`${text(message)}/${message.delivery}`));
    await a.close();
    await expect.poll(() => [...deliveries].sort()).toEqual(["1/2", "2/2", "3/2"]);
    expect(await b.stats("t", "g")).toMatchObject({ acknowledged: 3, unacknowledged: 0, redelivered: 3 });
  });

  test("subscriptions of one group that end at the same time all end", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url);
    const all = await Promise.all(["t", "u", "v"].map((topic) => bus.subscribe(topic, "g", () => {})));
    await bus.publish("t", utf8("m"));
    await Promise.all(all.map((subscription) => subscription.close()));
    const seen = await collect(bus, "u");
    await bus.publish("u", utf8("again"));
    await expect.poll(() => seen).toEqual(["again"]);
  });

  test("what a process that died was given goes to another", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url);
    const passing = await bus.subscribe("t", "g", () => {});
    await passing.close();
    await bus.publish("t", utf8("m"));
    await redis.command("XREADGROUP GROUP g dead COUNT 1 STREAMS oona:{t}:normal >");
    const seen = await collect(bus);
    await expect.poll(() => seen).toEqual(["m"]);
  });

  test("a message that kills every process it is given to ends among the dead letters", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url);
    await (await bus.subscribe("t", "g", () => {})).close();
    await bus.publish("t", utf8("poison"));
    await redis.command("XREADGROUP GROUP g first COUNT 1 STREAMS oona:{t}:normal >");
    await redis.command("XREADGROUP GROUP g first COUNT 1 STREAMS oona:{t}:normal 0");
    await redis.command("XREADGROUP GROUP g first COUNT 1 STREAMS oona:{t}:normal 0");
    const seen = await collect(bus);
    await expect.poll(() => bus.deadLetters("t", "g")).toMatchObject([{ deliveries: 4 }]);
    expect(seen).toEqual([]);
  });

  test("Redis is killed and comes back: nothing is lost, nothing hangs, effects are single", async () => {
    const redis = await serve(DURABLE);
    const { bus, notices } = await open(redis.url, { publishTimeoutMs: 20_000 });
    const effects = new Set<string>();
    await bus.subscribe("t", "g", (message) => void effects.add(message.entryId));
    const sent: Promise<string>[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 30; i++) sent.push(bus.publish("t", utf8(`${round}/${i}`)));
      await redis.kill();
      for (let i = 30; i < 60; i++) sent.push(bus.publish("t", utf8(`${round}/${i}`)));
      await redis.up();
      await Promise.all(sent);
    }
    const ids = await Promise.all(sent);
    expect(new Set(ids).size).toBe(180);
    await expect.poll(() => [...effects].sort()).toEqual([...ids].sort());
    expect(lostIn(notices)).toEqual([]);
    await expect.poll(() => bus.stats("t", "g")).toMatchObject({ acknowledged: 180, unacknowledged: 0 });
  });

  test("a send whose answer was lost is stored once", async () => {
    const redis = await serve();
    const proxy = await TcpProxy.open(redis.port);
    ends.push(() => proxy.close());
    const { bus } = await open(proxy.url, { publishTimeoutMs: 20_000 });
    const { bus: direct } = await open(redis.url);
    const seen = await collect(direct);
    await bus.publish("t", utf8("0"));
    proxy.losesAnswers = true;
    const sent = ["1", "2", "3"].map((word) => bus.publish("t", utf8(word)));
    await expect.poll(() => seen.length).toBe(4);
    proxy.losesAnswers = false;
    expect(new Set(await Promise.all(sent)).size).toBe(3);
    await bus.publish("t", utf8("4"));
    await expect.poll(() => seen).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("a Redis that is emptied: groups heal themselves, and each lost message is named", async () => {
    const redis = await serve();
    const { bus, notices } = await open(redis.url, { ackTimeoutMs: 60_000 });
    const seen: string[] = [];
    await bus.subscribe("t", "g", (message) => (seen.push(text(message)) === 1 ? undefined : never()), {
      maxInFlight: 2,
    });
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) ids.push(await bus.publish("t", utf8(`${i}`)));
    await expect.poll(() => seen.length).toBe(3);
    await redis.command("FLUSHALL");
    await bus.publish("t", utf8("after"), { lane: "emergency" });
    await expect.poll(() => seen).toContain("after");
    await expect.poll(() => lostIn(notices)).toEqual(expect.arrayContaining(ids.slice(3)));
    await expect.poll(() => notices.map(({ kind }) => kind)).toContain("healed");
  });

  test("a Redis that is emptied again before a group is back: what was sent in between is named too", async () => {
    const redis = await serve();
    const { bus, notices } = await open(redis.url);
    await (await bus.subscribe("t", "g", () => {})).close();
    // So long that the bus looks, every second, whether somebody reads here.
    const pause = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 4_000));
    await bus.publish("t", utf8("before"));
    await pause();
    await redis.command("FLUSHALL");
    const between = await bus.publish("t", utf8("between"));
    await pause();
    await redis.command("FLUSHALL");
    await expect.poll(() => lostIn(notices)).toContain(between);
  });

  test("a Redis that is emptied after the last reader has left: nobody waits for what was sent since", async () => {
    const redis = await serve();
    const { bus, notices } = await open(redis.url);
    const reader = await bus.subscribe("t", "g", () => {}, { durable: false });
    await bus.publish("t", utf8("read"));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await reader.close();
    for (let i = 0; i < 20; i++) await bus.publish("t", utf8(`${i}`));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await redis.command("FLUSHALL");
    await bus.publish("t", utf8("after"));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(lostIn(notices)).toEqual([]);
  });

  test("messages that somebody else trimmed away are named", async () => {
    const redis = await serve();
    const { bus, notices } = await open(redis.url);
    await (await bus.subscribe("t", "g", () => {})).close();
    const id = await bus.publish("t", utf8("m"));
    await redis.command("XREADGROUP GROUP g dead COUNT 1 STREAMS oona:{t}:normal >");
    await redis.command("XTRIM oona:{t}:normal MAXLEN 0");
    await collect(bus);
    await expect.poll(() => lostIn(notices)).toEqual([id]);
  });

  test("a replica that takes over without the last messages: each of them is named", async () => {
    const redis = await serve(["--repl-diskless-sync-delay", "0"]);
    const proxy = await TcpProxy.open(redis.port);
    ends.push(() => proxy.close());
    const { bus, notices } = await open(proxy.url, { publishTimeoutMs: 20_000 });
    await (await bus.subscribe("t", "g", () => {})).close();
    const kept = await bus.publish("t", utf8("kept"));
    const replica = await serve(["--replicaof", "127.0.0.1", String(redis.port)]);
    await expect.poll(() => replica.command("XLEN oona:{t}:normal")).toBe(":1\r\n");
    await replica.command("REPLICAOF NO ONE");
    const lost = [await bus.publish("t", utf8("lost 1")), await bus.publish("t", utf8("lost 2"))];
    proxy.retarget(replica.port);
    await bus.publish("t", utf8("after"));
    const seen = await collect(bus);
    await expect.poll(() => seen).toEqual(["kept", "after"]);
    expect(lostIn(notices)).toEqual(lost);
    expect(lost).not.toContain(kept);
  });

  test("a Redis that is frozen refuses in time, and goes on when it thaws", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url, { publishTimeoutMs: 300 });
    const seen = await collect(bus);
    redis.freeze();
    await expect(bus.publish("t", utf8("frozen"))).rejects.toMatchObject({ code: "unavailable" });
    redis.thaw();
    await bus.publish("t", utf8("thawed"));
    await expect.poll(() => seen).toContain("thawed");
  });

  test("a network that drops everything: a bus behind it refuses in time, and comes back when it heals", async () => {
    const redis = await serve();
    const proxy = await TcpProxy.open(redis.port);
    ends.push(() => proxy.close());
    const { bus, notices } = await open(proxy.url, { publishTimeoutMs: 300 });
    const seen = await collect(bus);
    proxy.partition();
    await expect(bus.publish("t", utf8("dropped"))).rejects.toMatchObject({ code: "unavailable" });
    await expect.poll(() => notices.map(({ kind }) => kind)).toContain("down");
    // Connections that came about meanwhile answer nothing either, then or ever.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    proxy.heal();
    await expect.poll(() => bus.isUp, { timeout: 15_000 }).toBe(true);
    await bus.publish("t", utf8("healed"));
    await expect.poll(() => seen, { timeout: 15_000 }).toContain("healed");
  });

  test.each([600_000, -600_000])("a clock that is %i ms ahead of Redis's is named, once", async (aheadMs) => {
    const redis = await serve();
    let ahead = aheadMs;
    const clock = { ...systemClock, nowMs: () => Date.now() + ahead };
    const { bus, notices } = await open(redis.url, { clock });
    const skews = () => notices.flatMap((notice) => (notice.kind === "skew" ? [notice.aheadMs] : []));
    // Of several entries in one millisecond only the first tells the time.
    const publish = async (text: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await bus.publish("t", utf8(text));
    };
    await publish("1");
    await publish("2");
    expect(skews()).toEqual([expect.any(Number)]);
    expect(Math.abs((skews()[0] ?? 0) - aheadMs)).toBeLessThan(5_000);
    ahead = 0;
    await publish("3");
    expect(skews()).toHaveLength(1);
    ahead = aheadMs;
    await publish("4");
    expect(skews()).toHaveLength(2);
  });

  test("a stream that is ahead of Redis's clock, which was set back, tells no time", async () => {
    const redis = await serve();
    const { bus, notices } = await open(redis.url);
    await redis.command(`XADD oona:{t}:normal ${Date.now() + 600_000}-0 payload x`);
    for (let i = 0; i < 5; i++) await bus.publish("t", utf8(`${i}`));
    expect(notices.filter(({ kind }) => kind === "skew")).toEqual([]);
  });

  test("an entry of another program is read, and one without a payload is none", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url);
    const seen = await collect(bus);
    await redis.command('XADD oona:{t}:normal * v 1 payload "hello\\x00"');
    await expect.poll(() => seen).toEqual(["hello\0"]);
  });

  test("a group whose processes are gone and that was not to last holds nobody up", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url, { maxQueued: 2 });
    await redis.command("XGROUP CREATE oona:{t}:normal page $ MKSTREAM");
    await redis.command("SADD oona:{t}:passing page");
    for (const word of ["1", "2", "3"]) await bus.publish("t", utf8(word));
    expect(await bus.stats("t", "page")).toBeUndefined();
    await redis.command("XGROUP CREATE oona:{t}:normal lasting $");
    for (const word of ["4", "5"]) await bus.publish("t", utf8(word));
    await expect(bus.publish("t", utf8("6"))).rejects.toMatchObject({ code: "overloaded" });
  });

  test("a group that is not to last ends when its process closes the bus", async () => {
    const redis = await serve();
    const { bus } = await open(redis.url);
    const { bus: page } = await open(redis.url);
    await page.subscribe("t", "page", never, { durable: false });
    await bus.publish("t", utf8("m"));
    expect(await bus.stats("t", "page")).toBeDefined();
    await page.close();
    expect(await bus.stats("t", "page")).toBeUndefined();
  });

  test("a user of one topic reaches no other, and a new password is heeded when it comes", async () => {
    const redis = await serve();
    const hashes = "+hget +hmget +hset +hincrby +sadd +srem +sismember +exists +pexpire +persist +del +info";
    const commands = `-@all +@stream +@scripting +@connection ${hashes}`;
    await redis.command(`ACL SETUSER run on >one ~oona:{mine}:* ${commands}`);
    const { bus } = await open(`redis://run:one@127.0.0.1:${redis.port}`, { publishTimeoutMs: 300 });
    const seen = await collect(bus, "mine");
    await bus.publish("mine", utf8("m"));
    await expect(bus.publish("yours", utf8("m"))).rejects.toMatchObject({ code: "unavailable" });
    await expect.poll(() => seen).toEqual(["m"]);
    await redis.command("ACL SETUSER run resetpass >two");
    await redis.command("CLIENT KILL USER run");
    await expect.poll(() => bus.publish("mine", utf8("m")).catch(messageOf)).toMatch(/WRONGPASS/);
    await redis.command("ACL SETUSER run >one");
    await expect.poll(() => bus.isUp).toBe(true);
    await bus.publish("mine", utf8("again"));
    await expect.poll(() => seen).toContain("again");
  });

  test.each([
    "-xadd",
    "-xack",
    "-evalsha",
    "-xreadgroup",
  ])("a right that is taken away (%s) and given back loses nothing", async (right) => {
    const redis = await serve();
    await redis.command("ACL SETUSER run on >one ~oona:* &* +@all");
    const url = `redis://run:one@127.0.0.1:${redis.port}`;
    const { bus } = await open(url, { publishTimeoutMs: 20_000, ackTimeoutMs: 10_000 });
    const seen = await collect(bus);
    await bus.publish("t", utf8("0"));
    await redis.command(`ACL SETUSER run ${right}`);
    const sent = ["1", "2", "3"].map((word) => bus.publish("t", utf8(word)));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await redis.command("ACL SETUSER run +@all");
    expect(new Set(await Promise.all(sent)).size).toBe(3);
    await expect.poll(() => [...new Set(seen)].sort()).toEqual(["0", "1", "2", "3"]);
    await expect.poll(() => bus.stats("t", "g")).toMatchObject({ acknowledged: 4, unacknowledged: 0 });
  });

  test("TLS: with the server's authority it connects, without it is refused", async () => {
    const redis = await serve();
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => `${redis.folder}/${name}`);
    const made = spawnSync("openssl", [
      ..."req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1".split(
        " ",
      ),
      ...["-keyout", `${key}`, "-out", `${cert}`],
    ]);
    expect(made.status).toBe(0);
    const settings = ["--tls-cert-file", `${cert}`, "--tls-key-file", `${key}`, "--tls-auth-clients", "no"];
    const secure = await RedisServer.startTls(settings);
    ends.push(() => secure.stop());
    const url = `rediss://127.0.0.1:${secure.port}`;
    const { bus } = await open(url, { tls: { ca: readFileSync(`${cert}`, "utf8") } });
    const seen = await collect(bus);
    await bus.publish("t", utf8("m"));
    await expect.poll(() => seen).toEqual(["m"]);
    await expect(RedisStreamsBus.open({ url, openTimeoutMs: 500 })).rejects.toThrow(
      /self-signed certificate/,
    );
  });

  test("an address that nobody answers at is named without its password", async () => {
    const opened = RedisStreamsBus.open({ url: "redis://me:secret@127.0.0.1:1/2", openTimeoutMs: 200 });
    await expect(opened).rejects.toThrow(
      /^Redis at redis:\/\/127\.0\.0\.1:1\/2 cannot be reached: .*ECONNREFUSED/,
    );
    await expect(RedisStreamsBus.open({ url: "http://secret@x" })).rejects.toThrow(/must be redis:\/\//);
    await expect(RedisStreamsBus.open({ url: "secret" })).rejects.not.toThrow(/secret/);
  });
});
