/** One emergency command to all runs of a bus, over a real Redis: who answers, who does not, who may order it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  COMMAND_CONTEXT,
  type CommandOutcome,
  decodeEnvelope,
  encodeOutcome,
  KeyRing,
  type KeyRole,
  runTopic,
  SignedMessages,
  STREAMS,
  sharedTopic,
  signatureProblem,
} from "../../contracts/index.js";
import { readCommand } from "../../contracts/read-command.js";
import { RedisStreamsBus } from "../../oona/index.node.js";
import { RedisServer, redisServer } from "../../oona/redis-server.fixture.js";
import { BusLink } from "./bus-link.js";
import { commandFleet } from "./fleet-emergency.js";

const trainer = { id: "trainer", role: "trainer", secret: new Uint8Array(32).fill(1) } as const;
const safety = { id: "safety", role: "safety", secret: new Uint8Array(32).fill(2) } as const;

describe.skipIf(!redisServer)("commandFleet", () => {
  let redis: RedisServer;
  let folder: string;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    await redis.command("FLUSHALL");
    folder = mkdtempSync(join(tmpdir(), "kasmina-fleet-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const openBus = async () => {
    const bus = await RedisStreamsBus.open({ url: redis.url });
    ends.push(() => bus.close());
    return bus;
  };

  /** @param answers what the run says to each command; none: it never answers */
  const openRun = async (id: string, answers?: CommandOutcome) => {
    const commands: ReturnType<typeof readCommand>[] = [];
    const link: BusLink = await BusLink.open({
      ...{ bus: await openBus(), trainingRunId: id, outboxFolder: join(folder, encodeURIComponent(id)) },
      keys: new KeyRing([trainer, safety]),
      remotePolicy: false,
      onCommand: ({ entryId, envelope }) => {
        const parts = decodeEnvelope(envelope);
        if (!parts || signatureProblem(new KeyRing([safety]), COMMAND_CONTEXT, parts))
          throw new Error("a forged command");
        const command = readCommand(parts.payload);
        commands.push(command);
        if (answers) link.answer(entryId, { ...answers, commandId: command.commandId });
      },
    });
    ends.push(() => link.close({ ended: true }));
    return { link, commands };
  };

  const commandAll = async (
    waitMs: number,
    signing: { role: KeyRole; id: string; secret: Uint8Array } = safety,
  ) =>
    commandFleet({
      ...{ bus: await openBus(), keys: new KeyRing([signing, trainer]), waitMs },
      ...{ level: "PAUSE_GROWTH", reason: "drill", issuedBy: "operator test" },
    });

  const APPLIED: CommandOutcome = { status: "applied", reason: "" };
  const REFUSED: CommandOutcome = { status: "refused", reason: "not_granted" };

  test("reaches every run, and ends as soon as all have answered", async () => {
    const runs = await Promise.all(["a", "run b/2"].map((id) => openRun(id, APPLIED)));
    const answers = await commandAll(60_000);
    expect(answers).toMatchObject([
      { trainingRunId: "a", kind: "answered", outcome: APPLIED },
      { trainingRunId: "run b/2", kind: "answered", outcome: APPLIED },
    ]);
    expect(
      runs.map(({ commands }) => commands.map(({ issuedBy, trainingRunId }) => [issuedBy, trainingRunId])),
    ).toEqual([[["operator test", "a"]], [["operator test", "run b/2"]]]);
  });

  test("names those that refuse, that do not answer, and that nobody has been at for long", async () => {
    await openRun("refuses", REFUSED);
    await openRun("hangs");
    const gone = await openRun("stopped");
    await gone.link.close({ ended: false });
    const answers = await commandAll(2_500);
    expect(answers).toMatchObject([
      { trainingRunId: "hangs", kind: "silent", lastAskedMs: expect.any(Number) },
      { trainingRunId: "refuses", kind: "answered", outcome: REFUSED },
      { trainingRunId: "stopped", kind: "silent", lastAskedMs: expect.any(Number) },
    ]);
    const asked = answers.map((answer) => (answer.kind === "silent" ? (answer.lastAskedMs ?? 0) : 0));
    expect(asked[0]).toBeLessThan(asked[2] ?? 0);
  });

  test("a run that ends meanwhile is no failure, and the command leaves nothing of it behind", async () => {
    const run = await openRun("a");
    // Ended at the moment it was sent to: a stream that nobody reads any more.
    await (await openBus()).publish(runTopic("commands", "b"), Uint8Array.of(1), { lane: "emergency" });
    const answers = commandAll(4_000);
    await expect.poll(() => run.commands.length).toBe(1);
    await run.link.close({ ended: true });
    expect(await answers).toEqual(["a", "b"].map((trainingRunId) => ({ trainingRunId, kind: "ended" })));
    expect(await (await openBus()).topicsBelow(STREAMS.commands.topic)).toEqual([]);
  });

  test("a run that joins while it waits gets the command too", async () => {
    await openRun("a");
    const answers = commandAll(3_000);
    await openRun("late", APPLIED);
    expect(await answers).toMatchObject([{ kind: "silent" }, { trainingRunId: "late", kind: "answered" }]);
  });

  test("a key that may order no emergency sends nothing", async () => {
    const run = await openRun("a", APPLIED);
    for (const role of ["trainer", "kernel", "policy"] as const)
      await expect(commandAll(1_000, { ...safety, role })).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining(`has the role ${role}`),
      });
    expect(run.commands).toEqual([]);
  });

  test.each([
    ["a forger", { ...trainer, secret: new Uint8Array(32).fill(9) }, "silent"],
    ["the role that commands", safety, "silent"],
    ["a trainer", trainer, "answered"],
  ])("an answer under the key of %s is worth what it is", async (_, key, kind) => {
    await openRun("a");
    const bus = await openBus();
    await bus.subscribe(runTopic("commands", "a"), "listener", async ({ payload }) => {
      const { commandId } = readCommand(decodeEnvelope(payload)?.payload ?? new Uint8Array());
      const outcome = encodeOutcome({ ...APPLIED, commandId, trainingRunId: "a" });
      await new SignedMessages({ port: bus, keys: new KeyRing([key]) }).publish(
        sharedTopic("outcomes"),
        outcome,
      );
    });
    const answers = await commandAll(1_500);
    expect(answers).toMatchObject([{ trainingRunId: "a", kind }]);
  });
});
