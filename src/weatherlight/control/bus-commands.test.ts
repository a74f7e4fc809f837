import { describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { type CommandOutcome, RUN_GROUP, runTopic } from "../../contracts/index.js";
import { MemoryBus } from "../../oona/index.js";
import { BusCommands } from "./bus-commands.js";

const TOPIC = runTopic("commands", "run-1");
const applied: CommandOutcome = { status: "applied", reason: "" };

async function setup() {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock, ackTimeoutMs: 1_000, redeliveryMs: 100 });
  const heard: [string, string][] = [];
  const onOutcome = (entryId: string, { status }: CommandOutcome) => void heard.push([entryId, status]);
  const commands = await BusCommands.open({ messages: bus, trainingRunId: "run-1", onOutcome });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { clock, bus, commands, heard, settle };
}

describe("commands from a bus", () => {
  test("are acknowledged when they are answered, under the bus's own id", async () => {
    const { bus, commands, heard, settle } = await setup();
    const entryId = await bus.publish(TOPIC, Uint8Array.of(1, 2));
    await settle();
    const [delivery, ...more] = commands.drain();
    expect(more).toEqual([]);
    expect(delivery).toMatchObject({ envelope: Uint8Array.of(1, 2), busEntry: entryId });
    expect(await bus.stats(TOPIC, RUN_GROUP)).toMatchObject({ acknowledged: 0, unacknowledged: 1 });
    delivery?.acknowledge(applied);
    await settle();
    expect(await bus.stats(TOPIC, RUN_GROUP)).toMatchObject({ acknowledged: 1, unacknowledged: 0 });
    expect(heard).toEqual([[entryId, "applied"]]);
  });

  test("that were not answered in time come again, the same entry", async () => {
    const { clock, bus, commands, settle } = await setup();
    const entryId = await bus.publish(TOPIC, Uint8Array.of(1));
    await settle();
    expect(commands.drain()).toHaveLength(1);
    clock.advance(1_000);
    await settle();
    clock.advance(100);
    await settle();
    expect(commands.drain().map(({ busEntry }) => busEntry)).toEqual([entryId]);
  });

  test("that nobody drained go back to the bus when the run closes", async () => {
    const { clock, bus, commands, settle } = await setup();
    await bus.publish(TOPIC, Uint8Array.of(1));
    await settle();
    await commands.close();
    await settle();
    clock.advance(100);
    const next = await BusCommands.open({ messages: bus, trainingRunId: "run-1" });
    await settle();
    expect(next.drain()).toHaveLength(1);
  });
});
