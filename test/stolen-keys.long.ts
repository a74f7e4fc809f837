/** Two trainers with the key files of docs/deployment.md: whoever has the one's commands neither the other's run nor the one's own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../src/base/index.js";
import {
  type CommandDraft,
  type CommandOutcome,
  CommandSigner,
  decodeOutcome,
  type KeyRole,
  runTopic,
  SignedMessages,
  sharedTopic,
} from "../src/contracts/index.js";
import { addKey, loadKeys, sharePublicKeys } from "../src/contracts/index.node.js";
import { RedisStreamsBus } from "../src/oona/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { SimulatedRun } from "./support/simulated-run.js";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const ORDERS: readonly CommandDraft["order"][] = [
  { kind: "OPTIMIZER", learningRate: 0.5 },
  { kind: "EMERGENCY", level: "HALT", reason: "mischief" },
];

test.skipIf(!redisServer)("a stolen trainer's keys command no run", async () => {
  const redis = await RedisServer.start();
  ends.push(() => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), "kasmina-stolen-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const nowMs = systemClock.nowMs();
  const fileOf = (name: string): string => join(folder, `${name}.keys`);
  const pair = (name: string, role: KeyRole): void =>
    void addKey(fileOf(name), nowMs, { kind: "ed25519", role });
  for (const name of ["one", "other"]) {
    addKey(fileOf(name), nowMs, { role: "trainer" });
    pair(name, "trainer");
  }
  pair("operator", "operator");
  for (const name of ["one", "other"]) {
    sharePublicKeys(fileOf("operator"), fileOf(name));
    sharePublicKeys(fileOf(name), fileOf("operator"));
  }
  // Of an older rotation, where each knew the other.
  sharePublicKeys(fileOf("one"), fileOf("other"));

  const bus = await RedisStreamsBus.open({ url: redis.url });
  ends.push(() => bus.close());
  const outcomes: CommandOutcome[] = [];
  await new SignedMessages({ port: bus, keys: loadKeys(fileOf("operator")) }).subscribe(
    sharedTopic("outcomes"),
    "operator",
    ({ payload }) => void outcomes.push(decodeOutcome(payload)),
  );
  const runs = await Promise.all(
    ["one", "other"].map((id) =>
      SimulatedRun.open({ id, folder, keys: loadKeys(fileOf(id)), bus: { url: redis.url } }),
    ),
  );
  for (const run of runs) ends.push(() => run.close());
  const command = async (by: string, to: string, order: CommandDraft["order"]): Promise<CommandOutcome> => {
    const signer = new CommandSigner({ keys: loadKeys(fileOf(by)), clock: systemClock });
    const before = outcomes.length;
    const draft = { commandId: `${by}-${to}-${order.kind}`, trainingRunId: to, issuedBy: by, order };
    await bus.publish(runTopic("commands", to), signer.sign(draft));
    await expect.poll(() => outcomes.length).toBeGreaterThan(before);
    return outcomes[before] ?? { status: "failed", reason: "" };
  };

  for (const order of ORDERS) {
    for (const to of ["one", "other"])
      expect(await command("one", to, order)).toMatchObject({ status: "refused", reason: "not_granted" });
    expect(await command("other", "one", order)).toMatchObject({
      status: "refused",
      reason: "invalid_signature",
    });
  }
  expect(runs.flatMap(({ journal }) => journal.records)).toEqual([]);
  const [rate] = ORDERS;
  if (rate) expect(await command("operator", "one", rate)).toMatchObject({ status: "applied" });
});
