/** A run of the command line over Redis, its policy in another process's hands; Redis is away in the middle. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../src/base/index.js";
import { type CommandOutcome, CommandSigner, runTopic, STREAMS } from "../src/contracts/index.js";
import { addKey, loadKeys } from "../src/contracts/index.node.js";
import { adapter, adapterEnvironment } from "../src/engine/native/gpu/software-adapter.fixture.js";
import { RedisStreamsBus } from "../src/oona/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { SchedulePolicy } from "../src/tamiyo/index.js";
import { TamiyoService, WeatherlightService } from "../src/weatherlight/services/index.js";

const main = new URL("../dist/cli/main.js", import.meta.url).pathname;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Line {
  readonly type: string;
  readonly name?: string;
  readonly missing?: string;
  readonly level?: string;
  readonly reason?: string;
  readonly epoch?: number;
}

/** A Redis of the test's own, a folder, and a key in it that all may sign with. */
async function setUp(redisOptions: readonly string[] = []) {
  const redis = await RedisServer.start(redisOptions);
  ends.push(() => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), "kasmina-oona-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const keyFile = join(folder, "keys");
  addKey(keyFile, systemClock.nowMs());
  return { redis, folder, keyFile };
}

function kasmina(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child: ChildProcess = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } });
  ends.push(() => child.kill("SIGKILL"));
  let text = "";
  child.stdout?.on("data", (data) => {
    text += data;
  });
  let problems = "";
  child.stderr?.on("data", (data) => {
    problems += data;
  });
  const lines = (): Line[] =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  const exit = once(child, "exit").then(([code]) => code as number);
  return { lines, exit, problems: () => problems, stop: () => void child.kill("SIGTERM") };
}

test.skipIf(!redisServer)(
  "a run takes its kernels from the catalog service, and its replay needs none",
  async () => {
    const { redis, folder, keyFile } = await setUp();
    const env = { KASMINA_KEY_FILE: keyFile, KASMINA_REDIS: redis.url };
    const catalog = join(folder, "catalog");
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ limits: { kernel: { prefetchDeadlineMs: 60_000 } } }));
    const service = kasmina(["serve", "catalog", "--catalog", catalog, "--json"], env);
    await expect.poll(() => service.lines().map(({ type }) => type)).toContain("ready");

    const asks = ["--catalog-service", "--catalog", catalog, "--config", config];
    const options = "--host resmlp --epochs 8 --policy epoch:1 --json".split(" ");
    const runDir = join(folder, "run");
    const run = kasmina(["grow", "--run-dir", runDir, ...asks, ...options], env);
    expect(await run.exit, run.problems()).toBe(0);
    expect(run.lines().map(({ name }) => name)).toContain("prefetch_ready");
    expect(run.lines().at(-1)).toMatchObject({
      seeds: [expect.objectContaining({ alpha: expect.any(Number) })],
    });
    service.stop();
    expect(await service.exit).toBe(0);
    const replay = kasmina(["replay", runDir, "--json"], { KASMINA_KEY_FILE: keyFile });
    expect(await replay.exit, replay.problems()).toBe(0);
    expect(replay.lines().at(-1)).toMatchObject({ same: true, sameTensors: true });

    const alone = kasmina(["grow", "--run-dir", join(folder, "none"), "--catalog-service"], env);
    expect(await alone.exit).toBe(2);
    expect(alone.problems()).toMatch(/--catalog-service needs the folder that the service writes to/);
    expect(existsSync(join(folder, "none"))).toBe(false);
    const bus = await RedisStreamsBus.open({ url: redis.url });
    ends.push(() => bus.close());
    expect(await bus.topicsBelow(STREAMS.commands.topic)).toEqual([]);
  },
);

test.skipIf(!redisServer || !adapter)(
  "a run on a GPU takes its kernels from the catalog service too",
  async () => {
    const { redis, folder, keyFile } = await setUp();
    const env = { KASMINA_KEY_FILE: keyFile, KASMINA_REDIS: redis.url, ...adapterEnvironment };
    const catalog = join(folder, "catalog");
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ limits: { kernel: { prefetchDeadlineMs: 60_000 } } }));
    const service = kasmina(["serve", "catalog", "--catalog", catalog, "--json"], env);
    await expect.poll(() => service.lines().map(({ type }) => type)).toContain("ready");

    const asks = ["--catalog-service", "--catalog", catalog, "--config", config];
    const options = "--engine gpu --host resmlp:width=8,blocks=2 --epochs 3 --policy epoch:1 --json";
    const run = kasmina(["grow", "--run-dir", join(folder, "run"), ...asks, ...options.split(" ")], env);
    expect(await run.exit, run.problems()).toBe(0);
    const ready = run.lines().filter(({ name }) => name === "prefetch_ready");
    expect(ready.length).toBeGreaterThan(0);
    expect(run.lines().at(-1)).toMatchObject({ engine: "gpu", ended: "finished" });
    service.stop();
    expect(await service.exit).toBe(0);
  },
);

test.skipIf(!redisServer)(
  "a run that is decided elsewhere has the bits of its replay, with Redis away in the middle",
  async () => {
    const { redis, folder, keyFile } = await setUp(["--appendonly", "yes", "--appendfsync", "always"]);
    const keys = loadKeys(keyFile);
    const env = { KASMINA_KEY_FILE: keyFile };
    const openBus = async () => {
      const bus = await RedisStreamsBus.open({ url: redis.url });
      ends.push(() => bus.close());
      return bus;
    };
    const outcomes: CommandOutcome[] = [];
    const weatherlight = await WeatherlightService.open({
      bus: await openBus(),
      keys,
      onOutcome: (outcome) => void outcomes.push(outcome),
    });
    ends.push(() => weatherlight.close());
    const tamiyo = await TamiyoService.open({
      bus: await openBus(),
      keys,
      policyFor: () =>
        new SchedulePolicy({ blueprints: [{ id: "mlp-residual", parameters: {} }], at: [0, 0.3] }),
    });
    ends.push(() => tamiyo.close());

    const runDir = join(folder, "run");
    const options = "--engine native --epochs 120 --policy remote --json".split(" ");
    const run = kasmina(["grow", "--oona", redis.url, "--run-dir", runDir, ...options], env);
    const epochs = (): number => run.lines().filter(({ type }) => type === "epoch").length;
    await expect.poll(() => outcomes.filter(({ status }) => status === "applied").length).toBeGreaterThan(0);
    const before = epochs();
    await redis.kill();
    await expect.poll(epochs).toBeGreaterThan(before + 2);
    const degraded = () =>
      run.lines().filter(({ name, missing }) => name === "degraded_inputs" && /oona/.test(missing ?? ""));
    await expect.poll(() => degraded().length).toBeGreaterThan(0);
    await redis.up();
    expect(await run.exit, run.problems()).toBe(0);
    expect(run.lines().at(-1)).toMatchObject({
      type: "summary",
      seeds: expect.arrayContaining([expect.anything()]),
    });

    const bus = await openBus();
    await expect.poll(() => bus.topicsBelow(STREAMS.commands.topic)).toEqual([]);
    expect(weatherlight.runIds).toHaveLength(1);
    const replay = kasmina(["replay", runDir, "--json"], env);
    expect(await replay.exit, replay.problems()).toBe(0);
    expect(replay.lines().at(-1)).toMatchObject({ same: true, firstDifference: null, sameTensors: true });
  },
);

test.skipIf(!redisServer)(
  "a machine whose clock is ten minutes ahead says so, and the commands that it takes for old are named",
  async () => {
    const { redis, folder, keyFile } = await setUp();
    const shift = join(folder, "shift.cjs");
    writeFileSync(shift, "const now = Date.now; Date.now = () => now() + 600_000;\n");
    const env = { KASMINA_KEY_FILE: keyFile, NODE_OPTIONS: `--require ${shift}` };
    const runDir = join(folder, "run");
    const options = "--data spirals --engine native --no-growth --epochs 100000 --json".split(" ");
    const run = kasmina(["grow", "--oona", redis.url, "--run-dir", runDir, ...options], env);
    await expect.poll(run.problems).toMatch(/WARNING: this machine's clock is (59\d|600) s ahead of Redis's/);
    const { run_id: trainingRunId } = JSON.parse(readFileSync(join(runDir, "run.json"), "utf8"));
    const bus = await RedisStreamsBus.open({ url: redis.url });
    ends.push(() => bus.close());
    const envelope = new CommandSigner({ keys: loadKeys(keyFile), clock: systemClock }).sign({
      ...{ commandId: "c1", trainingRunId, issuedBy: "test" },
      order: { kind: "EMERGENCY", level: "HALT", reason: "drill" },
    });
    await bus.publish(runTopic("commands", trainingRunId), envelope, { lane: "emergency" });
    const rejected = () => run.lines().find(({ name }) => name === "command_rejected");
    await expect.poll(rejected).toMatchObject({ level: "CRITICAL", reason: "stale_command" });
    run.stop();
    await run.exit;
  },
);
