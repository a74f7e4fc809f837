/**
 * Two Tamiyos, each a process behind a network of its own that drops or delays everything, or stopped in its tracks: each
 * command was sent by the one that had the run's lease, and no command id came twice.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { decodeEnvelope, KeyRing, runTopic, type SystemState } from "../src/contracts/index.js";
import { readCommand } from "../src/contracts/read-command.js";
import { RedisStreamsBus } from "../src/oona/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { TcpProxy } from "../src/oona/tcp-proxy.fixture.js";
import { BusLink } from "../src/weatherlight/index.js";
import { times } from "./support/full-counts.js";

const CHILD = new URL("./persistent-tamiyo.child.mjs", import.meta.url).pathname;
const LEASE_MS = 1_000;
const STATE_MS = 50;
const RUN_IDS = ["a", "b", "c", "d"];
const FAULTS = times(5, 60);

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Instance {
  readonly keyId: string;
  readonly proxy: TcpProxy;
  readonly child: ChildProcess;
}

async function startTamiyo(redis: RedisServer, keyId: string): Promise<Instance> {
  const proxy = await TcpProxy.open(redis.port);
  ends.push(() => proxy.close());
  const child = fork(CHILD, [proxy.url, keyId, String(LEASE_MS)]);
  ends.push(() => child.kill("SIGKILL"));
  await once(child, "message");
  return { keyId, proxy, child };
}

/** Longer than a lease lasts. */
type Fault = (instance: Instance, random: Random) => Promise<void>;

const FAULT: readonly Fault[] = [
  async ({ proxy }, random) => {
    proxy.partition();
    await pause(LEASE_MS + random.below(2 * LEASE_MS));
    proxy.heal();
  },
  async ({ child }, random) => {
    child.kill("SIGSTOP");
    await pause(LEASE_MS + random.below(2 * LEASE_MS));
    child.kill("SIGCONT");
  },
  async ({ proxy }, random) => {
    proxy.delayMs = LEASE_MS / 2 + random.below(LEASE_MS);
    await pause(2 * LEASE_MS);
    proxy.delayMs = 0;
    proxy.cut();
  },
];

function stateOf(trainingRunId: string, step: number): SystemState {
  return {
    ...{
      trainingRunId,
      step,
      epoch: 1,
      epochs: 10,
      trainLoss: 0.5,
      seeds: [],
      slots: [],
      closedBlueprints: {},
    },
    ...{ heldOutLoss: { value: 0.5, stdErr: 0.01 }, heldOutAccuracy: 0.5, openBreakers: [] },
    ...{ paramsHost: 1, paramsTotal: 1, flopsPerStep: 1, flopsTotal: step },
  };
}

interface Command {
  readonly keyId: string;
  readonly commandId: string;
}

/** Sends its state again and again, and notes who commands. */
async function startRun(redis: RedisServer, folder: string, id: string): Promise<readonly Command[]> {
  const commands: Command[] = [];
  const bus = await RedisStreamsBus.open({ url: redis.url });
  ends.push(() => bus.close());
  const link: BusLink = await BusLink.open({
    ...{ bus, trainingRunId: id, remotePolicy: true, outboxFolder: join(folder, id) },
    keys: new KeyRing([{ id: "trainer", secret: new Uint8Array(32).fill(1) }]),
    onCommand: ({ entryId, envelope }) => {
      const parts = decodeEnvelope(envelope);
      if (!parts) throw new Error("no envelope");
      commands.push({ keyId: parts.keyId, commandId: readCommand(parts.payload).commandId });
      link.answer(entryId, { status: "applied", reason: "" });
    },
  });
  let step = 0;
  const timer = setInterval(() => link.sendState(stateOf(id, ++step)), STATE_MS);
  ends.push(() => clearInterval(timer));
  ends.push(() => link.close({ ended: true }));
  return commands;
}

test.skipIf(!redisServer)(
  `two Tamiyos cut off ${FAULTS} times never both command a run`,
  { timeout: 1_800_000 },
  async () => {
    const redis = await RedisServer.start();
    ends.push(() => redis.stop());
    const folder = mkdtempSync(join(tmpdir(), "kasmina-two-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const instances = [await startTamiyo(redis, "one"), await startTamiyo(redis, "other")];
    const runs = await Promise.all(
      RUN_IDS.map(async (id) => ({ id, commands: await startRun(redis, folder, id) })),
    );
    const random = Random.forLabel(3, "two tamiyos");
    const commanded = async (by?: string): Promise<void> => {
      const before = runs.map(({ commands }) => commands.length);
      const isNew = ({ commands }: (typeof runs)[number], at: number): boolean =>
        commands.slice(before[at]).some(({ keyId }) => by === undefined || keyId === by);
      await expect.poll(() => runs.every(isNew), { timeout: 30_000 }).toBe(true);
    };
    await commanded();
    for (let i = 0; i < FAULTS; i++) {
      const holder = runs[0]?.commands.at(-1)?.keyId;
      // Now and then the one that stands by.
      const isAtWork = random.below(4) > 0;
      const instance = instances.find(({ keyId }) => (keyId === holder) === isAtWork);
      if (instance) await FAULT[i % FAULT.length]?.(instance, random);
      await commanded();
    }

    const counts = await Promise.all(
      runs.map(async ({ id, commands }) => {
        const reply = await redis.command(`GET oona:{${runTopic("commands", id)}}:fence`);
        const taken = Number(reply.split("\r\n")[1]);
        const switches = commands.filter(({ keyId }, at) => at > 0 && keyId !== commands[at - 1]?.keyId);
        const ids = commands.map(({ commandId }) => commandId);
        return {
          taken,
          switches: switches.length,
          repeated: ids.filter((one, at) => ids.indexOf(one) !== at),
        };
      }),
    );
    // Both at work at once would take turns without taking the lease.
    for (const { taken, switches } of counts) expect(switches).toBeLessThan(taken);
    expect(counts.flatMap(({ repeated }) => repeated)).toEqual([]);
    expect(Math.max(...counts.map(({ switches }) => switches))).toBeGreaterThan(0);
    const sum = runs.reduce((total, { commands }) => total + commands.length, 0);
    console.log(`${FAULTS} faults, ${sum} commands, ${JSON.stringify(counts)}`);
  },
);
