/** The deployment with Docker: what `docker compose` reads is whole, and each command in it is one that the command line takes. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { addGrow } from "../src/cli/commands/grow.js";
import { addServe } from "../src/cli/commands/serve.js";
import type { Io } from "../src/cli/terminal/io.js";
import { KeyRing, runTopic, sharedTopic } from "../src/contracts/index.js";
import { RedisStreamsBus } from "../src/oona/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { BusLink } from "../src/weatherlight/control/bus-link.js";
import { commandFleet } from "../src/weatherlight/control/fleet-emergency.js";
import { TamiyoService, WeatherlightService } from "../src/weatherlight/services/index.js";

const root = new URL("..", import.meta.url).pathname;
const read = (name: string): string => readFileSync(`${root}ops/${name}`, "utf8");
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const words = z.array(z.string()).min(1);
const duration = z.string().regex(/^\d+s$/);
/** What is used of https://github.com/compose-spec/compose-spec; anything else is a mistake. */
const service = z.strictObject({
  image: z.string().regex(/^[a-z/]+:[\w.-]+$/, "a version is named"),
  command: words,
  entrypoint: words.optional(),
  working_dir: z.string().optional(),
  user: z.string().optional(),
  restart: z.enum(["unless-stopped", "no"]),
  init: z.boolean().optional(),
  read_only: z.boolean().optional(),
  tmpfs: words.optional(),
  cap_drop: words.optional(),
  security_opt: words.optional(),
  profiles: words.optional(),
  stop_grace_period: duration.optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal("service_healthy") })).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/, "on this machine alone")).optional(),
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:ro)?$/)).optional(),
  healthcheck: z
    .union([
      z.strictObject({
        test: words,
        interval: duration,
        timeout: duration,
        retries: z.number(),
        start_period: duration.optional(),
      }),
      z.strictObject({ disable: z.literal(true) }),
    ])
    .optional(),
});
const schema = z.strictObject({
  name: z.string(),
  "x-kasmina": z.unknown(),
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.strictObject({})),
});

/** `${NAME:?why}`, as compose fills it in from .env. */
const asked = new Set<string>();
const filled = read("compose.yaml").replace(/\$\{(\w+):\?[^}]*\}/g, (_, name: string) => {
  asked.add(name);
  return name.endsWith("ID") ? "1000" : `/${name.toLowerCase()}`;
});
const compose = schema.parse(parse(filled, { merge: true }));
const services = Object.entries(compose.services);

test("names its parts, and mounts what there is", () => {
  expect(Object.keys(compose.services)).toEqual(
    expect.arrayContaining(["redis", "catalog", "tamiyo", "weatherlight", "trainer", "prometheus"]),
  );
  expect(filled).not.toContain("${");
  const mounted = services.flatMap(([, { volumes = [] }]) =>
    volumes.map((volume) => volume.split(":")[0] ?? ""),
  );
  const here = mounted.filter((path) => path.startsWith("./") && !path.startsWith("./keys/"));
  expect(here.filter((path) => !existsSync(join(root, "ops", path)))).toEqual([]);
  const named = mounted.filter((path) => !path.startsWith(".") && !path.startsWith("/"));
  expect(named.filter((name) => !(name in compose.volumes))).toEqual([]);
  for (const [, { depends_on = {} }] of services)
    for (const other of Object.keys(depends_on)) expect(compose.services[other]?.healthcheck).toBeDefined();
  const guide = readFileSync(`${root}docs/deployment.md`, "utf8");
  expect([...asked].filter((name) => !guide.includes(name))).toEqual([]);
});

const io: Io = {
  stdout: { write: () => undefined },
  stderr: { write: () => undefined },
  env: {},
  onSignal: () => () => undefined,
  exitNow: () => undefined,
};
const COMMANDS = { serve: addServe, grow: addGrow };

/** Reads a command line without doing what it says. @returns its arguments and options */
function parsed([name = "", ...args]: readonly string[]) {
  const command = new Command(name).exitOverride().configureOutput({ writeErr: () => undefined });
  if (name !== "serve" && name !== "grow") throw new Error(`no command ${name} in here`);
  COMMANDS[name](command, io, () => undefined);
  let got: { args: readonly string[]; options: Readonly<Record<string, unknown>> } | undefined;
  command.action(() => {
    got = { args: command.args, options: command.opts() };
  });
  command.parse([...args], { from: "user" });
  return got;
}

test("every command is one that the command line takes", () => {
  const kasmina = services.filter(([, { entrypoint }]) => entrypoint?.at(-1)?.endsWith("kasmina.mjs"));
  expect(kasmina.map(([name, { command }]) => [name, parsed(command)?.args])).toEqual([
    ["catalog", ["catalog"]],
    ["tamiyo", ["tamiyo"]],
    ["weatherlight", ["weatherlight"]],
    ["trainer", []],
  ]);
  expect(parsed(compose.services.trainer?.command ?? [])?.options).toMatchObject({ policy: "remote" });
  expect(() => parsed(["serve", "tamiyo", "--polcy", "plateau"])).toThrow(/unknown option/);
  for (const [, { command, environment = {} }] of kasmina) {
    expect(Object.keys(environment)).toEqual(["KASMINA_REDIS", "KASMINA_KEY_FILE"]);
    expect(command.join(" ")).not.toMatch(/password|redis:/);
  }
});

test.skipIf(!redisServer)("under its settings and rights every part can work, and none beyond", async () => {
  const settings = read("redis.conf")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !/^(dir|aclfile) /.test(line))
    .flatMap((line) => [`--${line.split(" ")[0]}`, line.slice(line.indexOf(" ") + 1).replace(/^""$/, "")]);
  const folder = mkdtempSync(join(tmpdir(), "kasmina-compose-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const password = createHash("sha256").update("secret").digest("hex");
  const users = read("users.acl").replaceAll("REPLACE_BY_SHA256_OF_PASSWORD", password);
  const redis = await RedisServer.startWithUsers(users, settings);
  ends.push(() => redis.stop());
  const openBus = async (user: string) => {
    const url = `redis://${user}:secret@127.0.0.1:${redis.port}`;
    const bus = await RedisStreamsBus.open({ url, onNotice: (notice) => void notices.push(notice) });
    ends.push(() => bus.close());
    return bus;
  };
  const notices: { readonly kind: string }[] = [];
  const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(1) }]);
  const problems: string[] = [];
  const onProblem = (problem: string): void => void problems.push(problem);

  const weatherlight = await WeatherlightService.open({ bus: await openBus("weatherlight"), keys });
  ends.push(() => weatherlight.close());
  expect(weatherlight.problem()).toBeUndefined();
  const policyFor = (): never => {
    throw new Error("no state is sent in here");
  };
  const tamiyo = await TamiyoService.open({ bus: await openBus("tamiyo"), keys, policyFor, onProblem });
  ends.push(() => tamiyo.close());
  const lease = await (await openBus("tamiyo")).acquireLease(runTopic("commands", "a"), 60_000);
  await lease?.keep(Uint8Array.of(1));
  expect(await lease?.recall()).toEqual(Uint8Array.of(1));
  const catalog = await openBus("catalog");
  const requests: string[] = [];
  await catalog.subscribe(
    sharedTopic("kernelRequests"),
    "catalog",
    ({ entryId }) => void requests.push(entryId),
  );

  const trainer = await openBus("trainer");
  const link: BusLink = await BusLink.open({
    ...{ bus: trainer, keys, trainingRunId: "a", outboxFolder: folder, remotePolicy: false, onProblem },
    onCommand: ({ entryId }) => link.answer(entryId, { status: "refused", reason: "not_granted" }),
  });
  await link.messages.publish(sharedTopic("kernelRequests"), Uint8Array.of(1));
  await expect.poll(() => requests.length).toBe(1);
  await catalog.publish(runTopic("kernelReady", "a"), Uint8Array.of(1));
  await lease?.publish(Uint8Array.of(1));
  const order = { level: "PAUSE_GROWTH", reason: "drill", issuedBy: "test", waitMs: 500 } as const;
  const answers = await commandFleet({ bus: await openBus("operator"), keys, ...order });
  expect(answers).toMatchObject([{ trainingRunId: "a", kind: "silent" }]);
  await expect.poll(() => weatherlight.status().outcomes).toBe(2);
  await link.close({ ended: true });
  expect(problems).toEqual([]);
  expect(notices.filter(({ kind }) => kind !== "up")).toEqual([]);

  await expect(catalog.publish(runTopic("commands", "a"), Uint8Array.of(1))).rejects.toThrow(/NOPERM/);
  await expect((await openBus("tamiyo")).publish(sharedTopic("outcomes"), Uint8Array.of(1))).rejects.toThrow(
    /NOPERM/,
  );
  await expect(RedisStreamsBus.open({ url: redis.url, openTimeoutMs: 300 })).rejects.toThrow(
    /NOAUTH|cannot be reached/,
  );
});
