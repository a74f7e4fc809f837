import { expect, test } from "vitest";
import { utf8 } from "../base/bytes.js";
import { signEnvelope } from "./envelope.js";
import { KeyRing } from "./key-ring.js";
import type { MessageHandler, MessagePort } from "./messages.js";
import type { KeyRole } from "./roles.js";
import { type RefusedMessage, SignedMessages } from "./signed-messages.js";
import { runTopic, STREAMS, type Stream, sharedTopic, streamOf } from "./streams.js";

const ring = (fill: number) => new KeyRing([{ id: `k${fill}`, secret: new Uint8Array(32).fill(fill) }]);

/** Whatever is published comes back at once, on the topic that a test says. */
class Loop implements MessagePort {
  readonly sent: Uint8Array[] = [];
  handler: MessageHandler = () => {};

  async publish(_topic: string, payload: Uint8Array): Promise<string> {
    this.sent.push(payload);
    return `${this.sent.length}`;
  }

  async subscribe(_topic: string, _group: string, handler: MessageHandler) {
    this.handler = handler;
    return { close: async () => {} };
  }

  async deliver(topic: string, payload: Uint8Array): Promise<void> {
    await this.handler({ topic, entryId: "1-1", lane: "normal", delivery: 1, payload });
  }
}

async function setup(topic: string, keys = ring(1)) {
  const port = new Loop();
  const refused: RefusedMessage[] = [];
  const seen: string[] = [];
  const signed = new SignedMessages({ port, keys, onRefused: (each) => refused.push(each) });
  await signed.subscribe(topic, "g", ({ payload }) => void seen.push(new TextDecoder().decode(payload)));
  return { port, signed, refused, seen };
}

test("every stream has a topic and a context of its own, and a topic names its stream", () => {
  const all = Object.entries(STREAMS);
  expect(new Set(all.map(([, { topic }]) => topic)).size).toBe(all.length);
  expect(new Set(all.map(([, { context }]) => context)).size).toBe(all.length);
  expect(runTopic("commands", "run-1")).toBe("kasmina.commands.v1/run-1");
  expect(runTopic("commands", "a/b {c}")).toBe("kasmina.commands.v1/a%2Fb%20%7Bc%7D");
  expect(() => runTopic("commands", " ")).toThrow(/without an id/);
  expect(streamOf(runTopic("kernelReady", "run-1"))).toBe("kernelReady");
  expect(streamOf(sharedTopic("states"))).toBe("states");
  for (const other of ["kasmina.commands.v1", "kasmina.states.v1/run-1", "elsewhere"])
    expect(streamOf(other)).toBeUndefined();
});

test("a signed message arrives as it was published", async () => {
  const { port, signed, refused, seen } = await setup(sharedTopic("states"));
  await signed.publish(sharedTopic("states"), utf8("state"));
  for (const payload of port.sent) await port.deliver(sharedTopic("states"), payload);
  expect(seen).toEqual(["state"]);
  expect(refused).toEqual([]);
});

test("a message signed for any other stream, by another key, or not at all is refused and told of", async () => {
  const topic = sharedTopic("outcomes");
  const { port, signed, refused, seen } = await setup(topic);
  const others = (Object.keys(STREAMS) as Stream[]).filter((stream) => stream !== "outcomes");
  for (const stream of others)
    await port.deliver(topic, signEnvelope(ring(1), STREAMS[stream].context, utf8("m")));
  await port.deliver(topic, signEnvelope(ring(2), STREAMS.outcomes.context, utf8("m")));
  await port.deliver(topic, utf8("no envelope"));
  await port.deliver(topic, new Uint8Array());
  expect(seen).toEqual([]);
  const reasons = refused.map(({ reason }) => reason);
  expect(reasons.slice(0, -2)).toEqual([...others, "another key"].map(() => "invalid_signature"));
  expect(reasons.slice(-2)).toEqual(["malformed", "missing_signature"]);
  expect(signed.refused).toBe(refused.length);
});

test("a message is trusted no further than the role of its key", async () => {
  const topic = sharedTopic("telemetry");
  const keysOf = (role: KeyRole) => new KeyRing([{ id: "k", secret: new Uint8Array(32).fill(1), role }]);
  for (const [role, reasons] of [
    ["trainer", []],
    ["policy", ["not_granted"]],
    ["operator", ["not_granted"]],
  ] as const) {
    const { port, refused } = await setup(topic, keysOf(role));
    await port.deliver(topic, signEnvelope(keysOf(role), STREAMS.telemetry.context, utf8("m")));
    expect(refused.map(({ reason }) => reason)).toEqual(reasons);
  }
});

test("commands go through as they are: their receiver verifies them", async () => {
  const topic = runTopic("commands", "run-1");
  const { port, signed, seen } = await setup(topic);
  await signed.publish(topic, utf8("an envelope"));
  expect(port.sent).toEqual([utf8("an envelope")]);
  await port.deliver(topic, utf8("an envelope"));
  expect(seen).toEqual(["an envelope"]);
});

test("a topic of no stream is refused", async () => {
  const { signed } = await setup(sharedTopic("states"));
  await expect(signed.publish("elsewhere", utf8("m"))).rejects.toMatchObject({ code: "invalid_argument" });
});
