/** Services over a real Redis, with runs that are simulated: real messages, signatures, policy and leases, no arithmetic. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock, utf8 } from "../../base/index.js";
import {
  COMMAND_CONTEXT,
  CommandSigner,
  decodeEnvelope,
  encodeState,
  KeyRing,
  RUN_GROUP,
  runTopic,
  type SeedState,
  SignedMessages,
  STREAMS,
  type SystemState,
  sharedTopic,
  signatureProblem,
  signEnvelope,
  type TelemetryEvent,
  type TelemetryPacket,
} from "../../contracts/index.js";
import { readCommand } from "../../contracts/read-command.js";
import { RedisStreamsBus } from "../../oona/index.node.js";
import { RedisServer, redisServer } from "../../oona/redis-server.fixture.js";
import { SchedulePolicy } from "../../tamiyo/index.js";
import { BusLink } from "../control/bus-link.js";
import { serveHealth } from "./service.js";
import { TamiyoService } from "./tamiyo-service.js";
import { type Alert, WeatherlightService } from "./weatherlight-service.js";

const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(1) }]);
const strangers = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(2) }]);

describe.skipIf(!redisServer)("services", () => {
  let redis: RedisServer;
  let folder: string;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    await redis.command("FLUSHALL");
    folder = mkdtempSync(join(tmpdir(), "kasmina-services-"));
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
  const openTamiyo = async (leaseMs = 3_000) => {
    const problems: string[] = [];
    const service = await TamiyoService.open({
      bus: await openBus(),
      keys,
      leaseMs,
      policyFor: () => new SchedulePolicy({ blueprints: [{ id: "low-rank", parameters: {} }], at: [0, 0] }),
      onProblem: (problem) => problems.push(problem),
    });
    ends.push(() => service.close());
    return { service, problems };
  };
  const openWeatherlight = async (options: Partial<Parameters<typeof WeatherlightService.open>[0]> = {}) => {
    const alerts: Alert[] = [];
    const bus = await openBus();
    const onAlert = (alert: Alert) => void alerts.push(alert);
    const service = await WeatherlightService.open({ bus, keys, leaseMs: 3_000, onAlert, ...options });
    ends.push(() => service.close());
    return { service, alerts, bus };
  };
  /** A run that does at once what it is told. */
  const openRun = async (id: string) => {
    const commands: ReturnType<typeof readCommand>[] = [];
    const missing: (readonly string[])[] = [];
    const replies = { on: true };
    const link: BusLink = await BusLink.open({
      bus: await openBus(),
      keys,
      trainingRunId: id,
      outboxFolder: join(folder, id),
      remotePolicy: true,
      lookMs: 50,
      onMissing: (what) => missing.push(what),
      onCommand: ({ entryId, envelope }) => {
        const parts = decodeEnvelope(envelope);
        if (!parts || signatureProblem(keys, COMMAND_CONTEXT, parts)) throw new Error("a forged command");
        commands.push(readCommand(parts.payload));
        if (replies.on) link.answer(entryId, { status: "applied", reason: "" });
      },
    });
    ends.push(() => link.close({ ended: true }));
    let step = 0;
    const seeds = (): SeedState[] => {
      const orders = commands.filter(({ payload }) => payload.case === "seed");
      const ids = [...new Set(orders.map(({ targetSeedId }) => targetSeedId))];
      return ids.map((seedId) => {
        const advances = orders.filter(({ targetSeedId }) => targetSeedId === seedId).length - 1;
        return seedNamed(seedId, LIFE[advances] ?? "FOSSILIZED");
      });
    };
    const observe = () => {
      step += 20;
      link.sendState(stateOf(id, step, seeds()));
    };
    /** Goes on until something is so. */
    const observeUntil = (isSo: () => boolean) =>
      expect
        .poll(() => {
          observe();
          return isSo();
        })
        .toBe(true);
    /** Goes on until it was told something more. */
    const commanded = (): Promise<void> => {
      const before = commands.length;
      return observeUntil(() => commands.length > before);
    };
    return { link, commands, observe, observeUntil, commanded, missing, replies };
  };

  test("states go in, signed commands come out, and each run gets its own alone", async () => {
    const { service } = await openTamiyo();
    const runs = await Promise.all(["a", "b"].map((id) => openRun(id)));
    for (const { commands, observeUntil } of runs) await observeUntil(() => commands.length > 2);
    expect(
      runs.map(({ commands }) => [...new Set(commands.map(({ trainingRunId }) => trainingRunId))]),
    ).toEqual([["a"], ["b"]]);
    expect([...service.status().runs].sort()).toEqual(["a", "b"]);
    expect(service.problem()).toBeUndefined();
  });

  test("of two instances one sees to a run; the other takes over, remembers, and uses no command id twice", async () => {
    const first = await openTamiyo();
    const run = await openRun("a");
    run.observe();
    await expect.poll(() => first.service.status().runs).toEqual(["a"]);
    const second = await openTamiyo();
    await run.observeUntil(() => run.commands.length > 1);
    expect(second.service.status().runs).toEqual([]);
    await first.service.close();
    await run.observeUntil(() => second.service.status().runs.includes("a"));
    await run.commanded();
    const ids = run.commands.map(({ commandId }) => commandId);
    expect(new Set(ids).size).toBe(ids.length);
    const germinated = run.commands.filter(
      ({ payload }) => payload.case === "seed" && payload.value.operation === 1,
    );
    expect(germinated.length).toBeLessThanOrEqual(2);
  });

  test("a Tamiyo whose Redis was emptied goes on with what it remembered", async () => {
    const { service } = await openTamiyo(300);
    const run = await openRun("a");
    await run.commanded();
    await run.commanded();
    await redis.command("FLUSHALL");
    await run.observeUntil(() => service.status().leasesLost > 0);
    await run.commanded();
    const ids = run.commands.map(({ commandId }) => commandId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("a Tamiyo that comes after Redis was emptied uses no id of the one before", async () => {
    const first = await openTamiyo(300);
    const run = await openRun("a");
    await run.commanded();
    await run.commanded();
    await first.service.close();
    await redis.command("FLUSHALL");
    await openTamiyo(300);
    await run.commanded();
    const ids = run.commands.map(({ commandId }) => commandId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("who lost the lease is fenced off, whatever it believes", async () => {
    const topic = runTopic("commands", "a");
    const [one, other] = [await openBus(), await openBus()];
    const first = await one.acquireLease(topic, 100);
    expect(await other.acquireLease(topic, 100)).toBeUndefined();
    await expect.poll(() => other.hasLeaseHolder(topic)).toBe(false);
    const second = await other.acquireLease(topic, 60_000);
    expect(second?.fence).toBe((first?.fence ?? 0) + 1);
    await expect(first?.publish(utf8("late"))).rejects.toMatchObject({ code: "illegal_state" });
    await expect(first?.keep(utf8("late"))).rejects.toMatchObject({ code: "illegal_state" });
    expect(await first?.renew()).toBe(false);
    await first?.release();
    expect(await other.hasLeaseHolder(topic)).toBe(true);
    await second?.keep(Uint8Array.of(0, 255));
    expect(await second?.recall()).toEqual(Uint8Array.of(0, 255));
    await second?.publish(utf8("in time"));
  });

  test("a run whose Tamiyo is gone, and whose Redis is gone, says so and catches up", async () => {
    const { service } = await openTamiyo();
    const run = await openRun("a");
    run.observe();
    await expect.poll(() => service.status().runs).toEqual(["a"]);
    await service.close();
    await expect.poll(() => run.missing.at(-1)).toEqual(["tamiyo"]);
    await openTamiyo();
    await expect
      .poll(() => {
        run.observe();
        return run.missing.at(-1);
      })
      .toEqual([]);
    await redis.kill();
    await expect.poll(() => run.missing.at(-1)).toEqual(["oona", "tamiyo"]);
    for (let i = 0; i < 5; i++) run.observe();
    run.link.answer("nobody asked", { status: "refused", reason: "stale_command" });
    await expect.poll(() => run.link.waiting).toBe(2);
    await redis.up();
    await expect.poll(() => run.link.waiting).toBe(0);
    await expect
      .poll(() => {
        run.observe();
        return run.missing.at(-1);
      })
      .toEqual([]);
  });

  test("commands of both lanes that came in the same millisecond are two", async () => {
    const run = await openRun("a");
    const signer = new CommandSigner({ keys, clock: systemClock });
    const draft = { trainingRunId: "a", issuedBy: "operator" } as const;
    const orders = [
      [
        "normal",
        signer.sign({ ...draft, commandId: "rate", order: { kind: "OPTIMIZER", learningRate: 0.1 } }),
      ],
      [
        "emergency",
        signer.sign({
          ...draft,
          commandId: "halt",
          order: { kind: "EMERGENCY", level: "HALT", reason: "fire" },
        }),
      ],
    ] as const;
    // One in the hands of the run, unanswered, while the other comes.
    run.replies.on = false;
    for (const [lane, envelope] of orders) {
      const bytes = [...envelope].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
      await redis.command(
        `XADD oona:{kasmina.commands.v1/a}:${lane} 99999999999999-1 v 1 payload "${bytes}"`,
      );
    }
    await expect.poll(() => run.commands.map(({ commandId }) => commandId).sort()).toEqual(["halt", "rate"]);
  });

  test("a state that a stranger signed is refused and told of", async () => {
    const { service, problems } = await openTamiyo();
    const bus = await openBus();
    const forged = new SignedMessages({ port: bus, keys: strangers });
    await forged.publish(sharedTopic("states"), encodeState(stateOf("a", 20, [])));
    await bus.publish(
      sharedTopic("states"),
      signEnvelope(keys, STREAMS.telemetry.context, encodeState(stateOf("a", 20, []))),
    );
    await expect.poll(() => problems.length).toBe(2);
    expect(problems.every((problem) => /refused: invalid_signature/.test(problem))).toBe(true);
    expect(service.status()).toMatchObject({ runs: [], refused: 2 });
  });

  test("a CRITICAL event overtakes a full normal lane, and a halt reaches the run at once", async () => {
    const { alerts } = await openWeatherlight({ onPacket: () => undefined });
    const run = await openRun("a");
    for (let i = 0; i < 500; i++) run.link.sendPacket(packetOf("a", i, []));
    run.link.sendPacket(packetOf("a", 501, [critical("gate_failure")]));
    await expect
      .poll(() => alerts.find(({ kind }) => kind === "event"))
      .toMatchObject({ trainingRunId: "a" });
    const halt = new CommandSigner({ keys, clock: systemClock }).sign({
      commandId: "operator-1",
      trainingRunId: "a",
      issuedBy: "operator",
      order: { kind: "EMERGENCY", level: "HALT", reason: "fire" },
    });
    await (await openBus()).publish(runTopic("commands", "a"), halt, { lane: "emergency" });
    await expect.poll(() => run.commands.map(({ commandId }) => commandId)).toEqual(["operator-1"]);
  });

  test("isolation breakers in several runs pause growth in all, within the limit of commands", async () => {
    const { service, alerts } = await openWeatherlight({ rules: { breakerRuns: 2, maxCommandsPerHour: 2 } });
    const runs = await Promise.all(["a", "b", "c"].map((id) => openRun(id)));
    for (const [i, { link }] of runs.entries()) link.sendPacket(packetOf("abc"[i] ?? "", 1, []));
    await expect.poll(() => service.runIds.length).toBe(3);
    for (const id of ["a", "b"]) runs[0]?.link.sendPacket(packetOf(id, 2, [critical("isolation_breaker")]));
    await expect.poll(() => alerts.filter(({ kind }) => kind === "command").length).toBe(2);
    expect(alerts.filter(({ kind }) => kind === "limit")).toHaveLength(1);
    await expect.poll(() => runs.flatMap(({ commands }) => commands).length).toBe(2);
    expect(
      runs.flatMap(({ commands }) => commands).every(({ issuedBy }) => issuedBy === "weatherlight"),
    ).toBe(true);
  });

  test("a silent run is named once, and again when it is heard; a clock that is ahead is named", async () => {
    const { alerts } = await openWeatherlight({ rules: { silentMs: 150, onSilent: "PAUSE_GROWTH" } });
    const run = await openRun("a");
    run.link.sendPacket(packetOf("a", 1, []));
    await expect.poll(() => alerts.slice(0, 2).map(({ kind }) => kind)).toEqual(["silent", "command"]);
    await expect.poll(() => run.commands.length).toBe(1);
    run.link.sendPacket({ ...packetOf("a", 2, []), atMs: Date.now() + 600_000 });
    await expect.poll(() => alerts.map(({ kind }) => kind)).toContain("clock_skew");
    expect(alerts.map(({ kind }) => kind)).toContain("heard_again");
  });

  test("a run that ended in order is not silent, whatever arrives late; one that goes on again may be", async () => {
    const { service, alerts } = await openWeatherlight({ rules: { silentMs: 150 } });
    const run = await openRun("a");
    const last = packetOf("a", 2, []);
    run.link.sendPacket({ ...last, retired: true });
    run.link.sendPacket({ ...packetOf("a", 1, []), atMs: last.atMs - 5 });
    await expect.poll(() => service.status().runs).toMatchObject([{ ended: true, packets: 2 }]);
    (await openRun("b")).link.sendPacket(packetOf("b", 1, []));
    await expect
      .poll(() => alerts.map((alert) => "trainingRunId" in alert && alert.trainingRunId))
      .toEqual(["b"]);
    expect((await service.metrics()).text).not.toContain('run="a"');
    run.link.sendPacket({ ...packetOf("a", 3, []), atMs: last.atMs + 5 });
    await expect.poll(() => alerts.filter(({ kind }) => kind === "silent").length).toBe(2);
  });

  test("of two Weatherlights one works, and the other takes over", async () => {
    const first = await openWeatherlight();
    const second = await openWeatherlight();
    expect([first.service.problem(), second.service.problem()]).toEqual([
      undefined,
      expect.stringMatching(/stands by/),
    ]);
    await first.service.close();
    await expect.poll(() => second.service.problem()).toBeUndefined();
    const run = await openRun("a");
    run.link.sendPacket(packetOf("a", 1, [critical("gate_failure")]));
    await expect.poll(() => second.alerts.length).toBe(1);
  });

  test("a run's streams are taken away when it ends", async () => {
    const bus = await openBus();
    const { link } = await openRun("a");
    expect(await bus.topicsBelow(STREAMS.commands.topic)).toEqual(["kasmina.commands.v1/a"]);
    await link.close({ ended: true });
    expect(await bus.topicsBelow(STREAMS.commands.topic)).toEqual([]);
    expect(await bus.stats(runTopic("commands", "a"), RUN_GROUP)).toBeUndefined();
  });

  test("shows the series of all runs to Prometheus, until they are silent", async () => {
    const { service, alerts } = await openWeatherlight({ rules: { silentMs: 3_000 } });
    const samples = async () =>
      (await service.metrics()).text.split("\n").filter((line) => !line.startsWith("#"));
    for (const id of ["a", "b"]) (await openRun(id)).link.sendPacket(packetOf(id, 5, []));
    await expect
      .poll(samples)
      .toEqual(expect.arrayContaining(['kasmina_run_steps{run="a"} 5', 'kasmina_run_steps{run="b"} 5']));
    await expect.poll(() => alerts.filter(({ kind }) => kind === "silent").length).toBe(2);
    const left = (await samples()).filter((line) => line.includes('run="'));
    expect(left.map((line) => line.split("{")[0])).toEqual([
      "kasmina_run_last_packet_timestamp_seconds",
      "kasmina_run_last_packet_timestamp_seconds",
    ]);
  });

  test("health says whether a service runs, and whether it can work", async () => {
    const { service, bus } = await openWeatherlight();
    const health = await serveHealth(service, { host: "127.0.0.1", port: 0 });
    ends.push(() => health.close());
    const ask = async (path: string, method = "GET") => {
      const response = await fetch(`http://${health.address}${path}`, { method });
      return [response.status, await response.json()];
    };
    expect(await ask("/healthz")).toEqual([200, { service: "weatherlight", healthy: true }]);
    expect(await ask("/readyz")).toEqual([200, { service: "weatherlight", ready: true }]);
    expect(await ask("/status")).toMatchObject([200, { active: true, runs: [] }]);
    expect(await ask("/elsewhere")).toMatchObject([404, {}]);
    const metrics = await fetch(`http://${health.address}/metrics`);
    expect(await metrics.text()).toContain("# HELP kasmina_seeds_active");
    expect(await ask("/healthz", "POST")).toMatchObject([405, {}]);
    await bus.close();
    expect(await ask("/readyz")).toMatchObject([503, { ready: false, problem: "Redis cannot be reached" }]);
    expect(await ask("/healthz")).toMatchObject([200, {}]);
  });
});

function stateOf(trainingRunId: string, step: number, seeds: readonly SeedState[]): SystemState {
  return {
    trainingRunId,
    step,
    epoch: Math.min(4, Math.floor(step / 100)),
    epochs: 10,
    trainLoss: 0.5,
    heldOutLoss: { value: 0.5, stdErr: 0.01 },
    heldOutAccuracy: 0.5,
    seeds,
    slots: ["s1", "s2"].map((id) => ({ id, shape: [8], depth: 1, seedIds: [] })),
    closedBlueprints: {},
    openBreakers: [],
    paramsHost: 100,
    paramsTotal: 100,
    flopsPerStep: 1,
    flopsTotal: step,
  };
}

const LIFE = ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY"] as const;

function seedNamed(id: string, stage: SeedState["stage"]): SeedState {
  const estimate = { value: 0.1, stdErr: 0.001 };
  return {
    ...{ id, slotId: "s1", blueprintId: "low-rank", stage, alpha: 1, rampDone: true },
    ...{ shadowGain: estimate, contribution: estimate, parameters: 10 },
  };
}

function critical(name: TelemetryEvent["name"]): TelemetryEvent {
  return { name, level: "CRITICAL", atMs: Date.now(), attributes: { seed_id: "s1" } };
}

function packetOf(trainingRunId: string, step: number, events: readonly TelemetryEvent[]): TelemetryPacket {
  const level = events.length > 0 ? ("CRITICAL" as const) : ("INFO" as const);
  return {
    ...{ trainingRunId, source: "kasmina", step, epoch: 0, atMs: Date.now(), events, level, retired: false },
    priority: events.length > 0 ? "CRITICAL" : "LOW",
    route: events.length > 0 ? "emergency" : "normal",
    metrics: [],
  };
}
