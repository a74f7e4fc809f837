import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { KasminaError, ManualClock, utf8 } from "../base/index.js";
import type { PublishOptions } from "../contracts/index.js";
import { Outbox, type OutboxOptions } from "./outbox.js";

/** A bus that a test takes away. */
class Switched {
  isUp = true;
  failure: KasminaError | undefined;
  readonly sent: string[] = [];

  async publish(
    _topic: string,
    payload: Uint8Array,
    { lane = "normal" }: PublishOptions = {},
  ): Promise<string> {
    if (this.failure) throw this.failure;
    this.sent.push(`${lane} ${new TextDecoder().decode(payload)}`);
    return `${this.sent.length}`;
  }
}

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function setup(changes: Partial<OutboxOptions> = {}) {
  const folder = changes.folder ?? mkdtempSync(join(tmpdir(), "kasmina-outbox-"));
  folders.push(folder);
  const bus = new Switched();
  const clock = new ManualClock();
  const dropped: string[] = [];
  const onDropped = (count: number, reason: string) => void dropped.push(`${count}: ${reason}`);
  const outbox = await Outbox.open({ bus, clock, onDropped, ...changes, folder });
  const publish = (word: string, options: PublishOptions & { replaces?: string } = {}) =>
    outbox.publish("t", utf8(word), options);
  return { folder, bus, clock, outbox, dropped, publish };
}

const unavailable = new KasminaError("unavailable", "away");
const emergency = { lane: "emergency" } as const;

test("while the bus is there messages go straight to it and the folder stays empty", async () => {
  const { bus, folder, publish } = await setup();
  await publish("1");
  await publish("2", emergency);
  expect(bus.sent).toEqual(["normal 1", "emergency 2"]);
  expect(readdirSync(folder)).toEqual([]);
});

test("what was stored while it was away goes out in order, the emergency lane first", async () => {
  const { bus, folder, outbox, publish } = await setup();
  bus.isUp = false;
  for (const word of ["1", "2", "3"]) await publish(word);
  await publish("fire", emergency);
  expect(readdirSync(folder)).toHaveLength(4);
  bus.isUp = true;
  await publish("4");
  await expect
    .poll(() => bus.sent)
    .toEqual(["emergency fire", "normal 1", "normal 2", "normal 3", "normal 4"]);
  expect(outbox.waiting).toBe(0);
  await expect.poll(() => readdirSync(folder)).toEqual([]);
});

test("a bus that refuses is tried again, ever more rarely, without being told to", async () => {
  const { bus, clock, outbox, publish } = await setup();
  bus.failure = unavailable;
  await publish("1");
  await expect.poll(() => clock.pendingTimers).toBe(1);
  clock.advance(200);
  await expect.poll(() => clock.pendingTimers).toBe(1);
  bus.failure = undefined;
  clock.advance(399);
  expect(outbox.waiting).toBe(1);
  clock.advance(1);
  await expect.poll(() => bus.sent).toEqual(["normal 1"]);
});

test("it outlives the process, and what is no message is told of", async () => {
  const { bus, folder, outbox, publish } = await setup();
  bus.isUp = false;
  await publish("1");
  await publish("fire", emergency);
  await outbox.close();
  writeFileSync(join(folder, "000000000000009.message"), "{}\n");
  writeFileSync(join(folder, "notes.txt"), "not ours");
  const next = await setup({ folder });
  await expect.poll(() => next.bus.sent).toEqual(["emergency fire", "normal 1"]);
  expect(next.dropped).toEqual(["1: 000000000000009.message in the outbox is no message"]);
  await next.publish("2");
  expect(next.bus.sent.at(-1)).toBe("normal 2");
});

test("the normal lane is bounded and its oldest goes; the emergency lane refuses", async () => {
  const { bus, outbox, dropped, publish } = await setup({ maxNormal: 2, maxEmergency: 1 });
  bus.isUp = false;
  for (const word of ["1", "2", "3"]) await publish(word);
  await publish("fire", emergency);
  await expect(publish("more", emergency)).rejects.toMatchObject({ code: "overloaded" });
  expect(dropped).toEqual(["1: the outbox is full"]);
  bus.isUp = true;
  outbox.wake();
  await expect.poll(() => bus.sent).toEqual(["emergency fire", "normal 2", "normal 3"]);
});

test("bytes are bounded: an emergency takes the place of what is normal", async () => {
  const { bus, outbox, publish } = await setup({ maxBytes: 100 });
  bus.isUp = false;
  await publish("a".repeat(50));
  await publish("b".repeat(50), emergency);
  await expect(publish("c".repeat(50))).rejects.toMatchObject({ code: "overloaded" });
  bus.isUp = true;
  outbox.wake();
  await expect.poll(() => bus.sent).toEqual([`emergency ${"b".repeat(50)}`]);
});

test("a newer message of the same key takes the older one's place", async () => {
  const { bus, outbox, publish } = await setup();
  bus.isUp = false;
  await publish("state 1", { replaces: "state" });
  await publish("outcome");
  await publish("state 2", { replaces: "state" });
  bus.isUp = true;
  outbox.wake();
  await expect.poll(() => bus.sent).toEqual(["normal outcome", "normal state 2"]);
});

test("a message that the bus will never take holds up no other", async () => {
  const { bus, outbox, dropped, publish } = await setup();
  bus.isUp = false;
  await publish("1");
  bus.isUp = true;
  bus.failure = new KasminaError("invalid_argument", "too large");
  outbox.wake();
  await expect.poll(() => dropped).toEqual(["1: too large"]);
  await expect(publish("2")).rejects.toMatchObject({ code: "invalid_argument" });
});

test("after a failure it tries one alone, and many again when that was taken", async () => {
  const sent: string[] = [];
  const bus = {
    isUp: false,
    takes: false,
    publish: async (_topic: string, payload: Uint8Array) => {
      sent.push(new TextDecoder().decode(payload));
      if (!bus.takes) throw unavailable;
      return "1-0";
    },
  };
  const { outbox, publish } = await setup({ bus });
  const words = Array.from({ length: 10 }, (_, i) => `${i}`);
  await Promise.all(words.map((word) => publish(word)));
  const tried = async (expected: readonly string[]): Promise<void> => {
    sent.length = 0;
    outbox.wake();
    await expect.poll(() => sent).toEqual(expected);
  };
  bus.isUp = true;
  await tried(words);
  await tried(["0"]);
  bus.takes = true;
  await tried(words);
  await expect.poll(() => outbox.waiting).toBe(0);
});

test("what waits leaves many at once, in order", async () => {
  const sent: string[] = [];
  let answer = (): void => undefined;
  const answered = new Promise<string>((resolve) => {
    answer = () => resolve("1-0");
  });
  const slow = {
    isUp: false,
    publish: (_topic: string, payload: Uint8Array) => {
      sent.push(new TextDecoder().decode(payload));
      return answered;
    },
  };
  const { outbox, publish } = await setup({ bus: slow });
  const words = Array.from({ length: 100 }, (_, i) => `${i}`);
  await Promise.all(words.map((word) => publish(word)));
  slow.isUp = true;
  outbox.wake();
  await expect.poll(() => sent).toEqual(words.slice(0, 64));
  answer();
  await expect.poll(() => sent).toEqual(words);
  await expect.poll(() => outbox.waiting).toBe(0);
});
