/** What every bus must do. A bus is made with the limits given, and its time moves when `elapse` says so. */
import { afterEach, describe, expect, test } from "vitest";
import { utf8 } from "../base/index.js";
import type { Message } from "../contracts/index.js";
import type { Bus, BusLimits } from "./bus.js";

export interface BusHarness {
  readonly bus: Bus;
  /** Lets this much of the bus's time pass, and everything due happen. */
  elapse(ms: number): Promise<void>;
}

const LIMITS: BusLimits = {
  maxQueued: 20,
  maxPayloadBytes: 64,
  ackTimeoutMs: 1000,
  maxDeliveries: 3,
  redeliveryMs: 100,
  maxDeadLetters: 4,
};

const text = (message: Message): string => new TextDecoder().decode(message.payload);
const never = (): Promise<void> => new Promise(() => {});

export function busConformance(name: string, make: (limits: BusLimits) => Promise<BusHarness>): void {
  describe(`bus conformance: ${name}`, () => {
    let made: BusHarness[] = [];
    const open = async (limits: Partial<BusLimits> = {}): Promise<BusHarness> => {
      const harness = await make({ ...LIMITS, ...limits });
      made.push(harness);
      return harness;
    };
    afterEach(async () => {
      await Promise.all(made.map(({ bus }) => bus.close()));
      made = [];
    });

    /** Subscribes a handler that notes what it sees, then does what `then` says. */
    const collect = async (
      { bus }: BusHarness,
      group: string,
      then: (message: Message) => Promise<void> | void = () => {},
      options = {},
    ): Promise<string[]> => {
      const seen: string[] = [];
      await bus.subscribe(
        "t",
        group,
        (message) => {
          seen.push(text(message));
          return then(message);
        },
        options,
      );
      return seen;
    };

    test("every group gets every message, in order", async () => {
      const harness = await open();
      const a = await collect(harness, "a");
      const b = await collect(harness, "b");
      for (const word of ["1", "2", "3"]) await harness.bus.publish("t", utf8(word));
      await harness.bus.publish("other", utf8("x"));
      await harness.elapse(10);
      expect(a).toEqual(["1", "2", "3"]);
      expect(b).toEqual(["1", "2", "3"]);
      expect(await harness.bus.stats("t", "a")).toEqual({
        published: 3,
        acknowledged: 3,
        redelivered: 0,
        dead: 0,
        unacknowledged: 0,
        inFlight: 0,
      });
    });

    test("within a group each message goes to one subscriber, and both get some", async () => {
      const harness = await open();
      const a = await collect(harness, "g");
      const b = await collect(harness, "g");
      for (let i = 0; i < 10; i++) await harness.bus.publish("t", utf8(`${i}`));
      await harness.elapse(10);
      expect([...a, ...b].sort()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    });

    test("a group starts with what is published after its first subscription", async () => {
      const harness = await open();
      await harness.bus.publish("t", utf8("before"));
      const seen = await collect(harness, "g");
      await harness.bus.publish("t", utf8("after"));
      await harness.elapse(10);
      expect(seen).toEqual(["after"]);
    });

    test("entry ids are unique, and the same at every delivery", async () => {
      const harness = await open();
      const ids: string[] = [];
      await harness.bus.subscribe("t", "g", ({ entryId, delivery }) => {
        ids.push(`${entryId}/${delivery}`);
        if (delivery === 1) throw new Error("once more");
      });
      const first = await harness.bus.publish("t", utf8("1"));
      const second = await harness.bus.publish("t", utf8("2"));
      await harness.elapse(300);
      expect(first).not.toBe(second);
      expect(ids.sort()).toEqual([`${first}/1`, `${first}/2`, `${second}/1`, `${second}/2`].sort());
    });

    test("publishing never runs a handler, and neither side sees the other change the bytes", async () => {
      const harness = await open();
      const seen = await collect(harness, "g", (message) => void message.payload.fill(0));
      const other = await collect(harness, "h");
      const payload = utf8("abc");
      const published = harness.bus.publish("t", payload);
      expect(seen).toEqual([]);
      await published;
      payload.fill(0);
      await harness.elapse(10);
      expect([seen, other]).toEqual([["abc"], ["abc"]]);
    });

    test("a handler that fails gets the message again, after a pause that grows, until it succeeds", async () => {
      const harness = await open();
      const seen = await collect(harness, "g", ({ delivery }) => {
        if (delivery < 3) throw new Error("not yet");
      });
      await harness.bus.publish("t", utf8("m"));
      await harness.elapse(50);
      expect(seen).toHaveLength(1);
      await harness.elapse(100);
      expect(seen).toHaveLength(2);
      await harness.elapse(100);
      expect(seen).toHaveLength(2);
      await harness.elapse(150);
      expect(seen).toHaveLength(3);
      expect(await harness.bus.stats("t", "g")).toMatchObject({ acknowledged: 1, redelivered: 2, dead: 0 });
    });

    test("a message that always fails becomes a dead letter, and holds nothing up", async () => {
      const harness = await open();
      const seen = await collect(harness, "g", (message) => {
        if (text(message) === "bad") throw new Error("cannot read it");
      });
      const id = await harness.bus.publish("t", utf8("bad"));
      await harness.bus.publish("t", utf8("good"));
      await harness.elapse(2000);
      expect(seen.sort()).toEqual(["bad", "bad", "bad", "good"]);
      expect(await harness.bus.deadLetters("t", "g")).toEqual([
        {
          topic: "t",
          group: "g",
          entryId: id,
          lane: "normal",
          payload: utf8("bad"),
          deliveries: 3,
          reason: "cannot read it",
        },
      ]);
      expect(await harness.bus.stats("t", "g")).toMatchObject({
        acknowledged: 1,
        dead: 1,
        unacknowledged: 0,
      });
    });

    test("dead letters are bounded, the oldest goes first", async () => {
      const harness = await open({ maxDeliveries: 1 });
      await collect(harness, "g", () => Promise.reject(new Error("no")));
      for (let i = 0; i < 6; i++) await harness.bus.publish("t", utf8(`${i}`));
      await harness.elapse(10);
      const letters = await harness.bus.deadLetters("t", "g");
      expect(letters.map((letter) => new TextDecoder().decode(letter.payload))).toEqual(["2", "3", "4", "5"]);
      expect((await harness.bus.stats("t", "g"))?.dead).toBe(6);
    });

    test("a handler that hangs loses its message to another subscriber of the group", async () => {
      const harness = await open();
      const stuck = await collect(harness, "g", never, { maxInFlight: 1 });
      await harness.bus.publish("t", utf8("m"));
      await harness.elapse(10);
      expect(stuck).toEqual(["m"]);
      const healthy = await collect(harness, "g");
      await harness.elapse(3000);
      expect([...stuck, ...healthy].length).toBeGreaterThan(1);
      await harness.elapse(3000);
      const stats = await harness.bus.stats("t", "g");
      expect(stats).toMatchObject({ unacknowledged: 0, inFlight: 0 });
      expect((stats?.acknowledged ?? 0) + (stats?.dead ?? 0)).toBe(1);
    });

    test("an acknowledgement after the time is up still counts, and calls redelivery off", async () => {
      const harness = await open({ redeliveryMs: 5000 });
      let acknowledge: () => void = () => {};
      const seen = await collect(
        harness,
        "g",
        () =>
          new Promise((resolve) => {
            acknowledge = resolve;
          }),
      );
      await harness.bus.publish("t", utf8("m"));
      await harness.elapse(1500);
      acknowledge();
      await harness.elapse(6000);
      expect(seen).toEqual(["m"]);
      expect(await harness.bus.stats("t", "g")).toMatchObject({ acknowledged: 1, unacknowledged: 0 });
    });

    test("the queue is bounded by what is not acknowledged; a refused message reaches no group at all", async () => {
      const harness = await open();
      const slow = await collect(harness, "slow", never, { maxInFlight: 1 });
      for (let i = 0; i < LIMITS.maxQueued; i++) await harness.bus.publish("t", utf8("m"));
      const quick = await collect(harness, "quick");
      await expect(harness.bus.publish("t", utf8("one more"))).rejects.toMatchObject({ code: "overloaded" });
      await harness.elapse(10);
      expect(slow).toEqual(["m"]);
      expect(quick).toEqual([]);
      expect((await harness.bus.stats("t", "slow"))?.unacknowledged).toBe(LIMITS.maxQueued);
    });

    test("a message that is long in hand holds up no other, however many pass it", async () => {
      const harness = await open();
      const stats = async () => await harness.bus.stats("t", "g");
      await collect(harness, "g", (message) => (text(message) === "slow" ? never() : undefined), {
        maxInFlight: 2,
      });
      await harness.bus.publish("t", utf8("slow"));
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < LIMITS.maxQueued - 1; i++) await harness.bus.publish("t", utf8("m"));
        await harness.elapse(5);
      }
      expect(await stats()).toMatchObject({ acknowledged: 3 * (LIMITS.maxQueued - 1), unacknowledged: 1 });
    });

    test("a topic that nobody listens to is never full", async () => {
      const { bus } = await open();
      for (let i = 0; i < 3 * LIMITS.maxQueued; i++) await bus.publish("t", utf8(`${i}`));
    });

    test("keeps the order of messages that are published at once, and every byte of them", async () => {
      const harness = await open({ maxQueued: 300, maxPayloadBytes: 512 });
      const seen: Uint8Array[] = [];
      await harness.bus.subscribe("t", "g", ({ payload }) => void seen.push(payload), { maxInFlight: 300 });
      const sent = Array.from({ length: 256 }, (_, i) => Uint8Array.from([i, 0, 255, 13, 10, i, 128]));
      await Promise.all(sent.map((payload) => harness.bus.publish("t", payload)));
      await harness.elapse(10);
      expect(seen).toEqual(sent);
    });

    test("a topic that was taken away is empty, and begins anew for who comes then", async () => {
      const harness = await open();
      const before = await collect(harness, "g", never);
      await harness.bus.publish("t", utf8("1"));
      await harness.elapse(10);
      await harness.bus.publish("t", utf8("2"), { lane: "emergency" });
      await harness.bus.removeTopic("t");
      expect(await harness.bus.stats("t", "g")).toBeUndefined();
      const after = await collect(harness, "g");
      await harness.bus.publish("t", utf8("3"));
      await harness.elapse(2000);
      expect(before).not.toContain("3");
      expect(after).toEqual(["3"]);
      await harness.bus.removeTopic("nobody knows it");
    });

    test("the emergency lane overtakes, and neither a full queue nor busy handlers hold it up", async () => {
      const harness = await open();
      const seen = await collect(harness, "g", ({ lane }) => (lane === "normal" ? never() : undefined), {
        maxInFlight: 1,
      });
      for (let i = 0; i < LIMITS.maxQueued; i++) await harness.bus.publish("t", utf8(`n${i}`));
      await harness.elapse(10);
      await harness.bus.publish("t", utf8("e"), { lane: "emergency" });
      await harness.elapse(10);
      expect(seen).toEqual(["n0", "e"]);
    });

    test("the emergency lane is bounded as well", async () => {
      const harness = await open();
      await collect(harness, "g", never, { maxInFlight: 1 });
      for (let i = 0; i < LIMITS.maxQueued; i++)
        await harness.bus.publish("t", utf8("e"), { lane: "emergency" });
      await expect(harness.bus.publish("t", utf8("e"), { lane: "emergency" })).rejects.toMatchObject({
        code: "overloaded",
      });
      await harness.bus.publish("t", utf8("n"));
    });

    test("a handler gets at most maxInFlight messages at once", async () => {
      const harness = await open();
      let inside = 0;
      let most = 0;
      const releases: (() => void)[] = [];
      await collect(
        harness,
        "g",
        async () => {
          most = Math.max(most, ++inside);
          await new Promise<void>((resolve) => releases.push(resolve));
          inside--;
        },
        { maxInFlight: 3 },
      );
      for (let i = 0; i < 9; i++) await harness.bus.publish("t", utf8(`${i}`));
      for (let round = 0; round < 9; round++) {
        await harness.elapse(5);
        for (const release of releases.splice(0)) release();
      }
      expect(most).toBe(3);
      expect((await harness.bus.stats("t", "g"))?.acknowledged).toBe(9);
    });

    test("a durable group collects while nobody listens; one that is not goes with its last subscriber", async () => {
      const harness = await open();
      for (const [group, durable] of [
        ["lasting", true],
        ["passing", false],
      ] as const) {
        const subscription = await harness.bus.subscribe("t", group, () => {}, { durable });
        await subscription.close();
      }
      await harness.bus.publish("t", utf8("m"));
      expect(await harness.bus.stats("t", "passing")).toBeUndefined();
      const lasting = await collect(harness, "lasting");
      const passing = await collect(harness, "passing");
      await harness.elapse(10);
      expect([lasting, passing]).toEqual([["m"], []]);
    });

    test("a closed subscription gets nothing more, others of its group do", async () => {
      const harness = await open();
      const seen: string[] = [];
      const first = await harness.bus.subscribe("t", "g", (message) => void seen.push(text(message)));
      await harness.bus.publish("t", utf8("1"));
      await harness.elapse(10);
      await first.close();
      const rest = await collect(harness, "g");
      await harness.bus.publish("t", utf8("2"));
      await harness.elapse(10);
      expect([seen, rest]).toEqual([["1"], ["2"]]);
    });

    test("a payload over the limit is refused", async () => {
      const { bus } = await open();
      await bus.publish("t", new Uint8Array(64));
      await expect(bus.publish("t", new Uint8Array(65))).rejects.toMatchObject({ code: "invalid_argument" });
    });

    test("after close nothing is delivered, redelivered or taken", async () => {
      const harness = await open();
      const seen = await collect(harness, "g", () => Promise.reject(new Error("again")));
      await harness.bus.publish("t", utf8("m"));
      await harness.elapse(10);
      await harness.bus.close();
      await harness.bus.close();
      await harness.elapse(5000);
      expect(seen).toEqual(["m"]);
      await expect(harness.bus.publish("t", utf8("m"))).rejects.toMatchObject({ code: "canceled" });
      await expect(harness.bus.subscribe("t", "g", () => {})).rejects.toMatchObject({ code: "canceled" });
    });
  });
}
