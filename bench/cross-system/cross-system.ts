/**
 * The parts as separate processes over one Redis: state → Tamiyo → signed command → Oona → run → effect → telemetry → Weatherlight.
 * Trainers are simulated (trainers.ts); bus, policy, signatures, leases and services are those of the command line. Arguments: numbers
 * of runs (default 10 100 1000), `seconds=30`, `fsync=always` of Redis (or everysec), `load` for the load alone.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { percentile, systemClock } from "kasmina/base";
import { CommandSigner, RUN_GROUP, runTopic } from "kasmina/contracts";
import { addKey, loadKeys } from "kasmina/contracts/node";
import { RedisStreamsBus } from "kasmina/oona/node";
import type { Figures, Measurement } from "../measurement.js";
import { freePort, Redis, ServiceProcess, TrainersProcess, type Usage } from "./processes.js";
import type { TrainersFigures } from "./trainers.js";

/** What must hold. */
const LIMITS = { decisionP99Ms: 100, emergencyP99Ms: 1_000 } as const;
const STEP_MS = 1_000;
const TRAINERS = 2;
const FLOOD = 100_000;
const EMERGENCIES = 200;
const FROZEN_MS = 3_000;
/** Between two looks at what the processes use. */
const LOOK_MS = 5_000;

export const crossSystem: Measurement = {
  name: "cross-system",
  summary: "latencies and losses of the whole chain over one Redis, with 10 to 1,000 runs",
  async run(args) {
    const given = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
    const seconds = Number(/seconds=(\d+)/.exec(args.join(" "))?.[1] ?? 30);
    const fsync = /fsync=(\w+)/.exec(args.join(" "))?.[1] ?? "always";
    const figures: Record<string, Figures> = {};
    for (const runs of given.length > 0 ? given : [10, 100, 1_000])
      figures[`${runs} runs`] = await withSystem(fsync, (system) => load(system, runs, seconds));
    if (args.includes("load")) return figures;
    figures["10 runs, Redis frozen for 3 s, then killed"] = await withSystem(fsync, faults);
    figures[`emergency behind ${FLOOD} messages`] = await withSystem(fsync, emergency);
    return figures;
  },
};

interface System {
  readonly redis: Redis;
  readonly folder: string;
  readonly keyFile: string;
  readonly env: NodeJS.ProcessEnv;
  readonly closers: (() => unknown)[];
}

async function withSystem(fsync: string, work: (system: System) => Promise<Figures>): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-cross-"));
  const redis = new Redis(await freePort(), folder, fsync);
  const closers: (() => unknown)[] = [
    () => rmSync(folder, { recursive: true, force: true }),
    () => redis.kill(),
  ];
  const keyFile = join(folder, "keys");
  try {
    addKey(keyFile, systemClock.nowMs());
    await redis.start();
    const env = { KASMINA_REDIS: redis.url, KASMINA_KEY_FILE: keyFile };
    return await work({ redis, folder, keyFile, env, closers });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** The chain at work. */
class Chain {
  /** From the effect in a run to the line that Weatherlight prints. */
  readonly effectMs: number[] = [];
  readonly #tamiyo: ServiceProcess;
  readonly #weatherlight: ServiceProcess;
  readonly #trainers: TrainersProcess[];
  readonly #redis: Redis;

  static async start(system: System, runs: number): Promise<Chain> {
    const chain = new Chain(system, runs);
    await Promise.all([chain.#tamiyo.ready(), chain.#weatherlight.ready()]);
    await Promise.all(chain.#trainers.map((each) => each.heard()));
    for (const each of chain.#trainers) each.tell({ kind: "begin" });
    return chain;
  }

  private constructor({ redis, folder, keyFile, env, closers }: System, runs: number) {
    this.#redis = redis;
    this.#tamiyo = new ServiceProcess(["tamiyo", "--policy", "schedule"], env, () => undefined);
    this.#weatherlight = new ServiceProcess(["weatherlight"], env, (line) => {
      const { event } = line as { readonly event?: { readonly name: string; readonly atMs: number } };
      if (line.type === "event" && event?.name === "seed_stage") this.effectMs.push(Date.now() - event.atMs);
    });
    const ids = Array.from({ length: runs }, (_, i) => `run-${i}`);
    this.#trainers = Array.from({ length: Math.min(TRAINERS, runs) }, (_, i) => {
      const own = ids.filter((_id, at) => at % TRAINERS === i);
      return new TrainersProcess({ url: redis.url, keyFile, folder, ids: own, stepMs: STEP_MS });
    });
    for (const each of [this.#tamiyo, this.#weatherlight, ...this.#trainers]) closers.push(() => each.stop());
  }

  /** By the names of the processes. */
  usage(): Readonly<Record<string, Usage | undefined>> {
    const trainers = this.#trainers.map(({ usage }, at) => [`trainers ${at + 1}`, usage]);
    const services = {
      redis: this.#redis.usage,
      tamiyo: this.#tamiyo.usage,
      weatherlight: this.#weatherlight.usage,
    };
    return { ...services, ...Object.fromEntries(trainers) };
  }

  /** Ends the runs. What they sent must arrive within 10 s of the last of it. */
  async end(): Promise<{
    readonly runs: TrainersFigures;
    readonly received: number;
    readonly tamiyo: Record<string, unknown>;
  }> {
    for (const each of this.#trainers) each.tell({ kind: "end" });
    const parts = await Promise.all(this.#trainers.map((each) => each.heard<TrainersFigures>()));
    const total = (of: (part: TrainersFigures) => number): number =>
      parts.reduce((sum, part) => sum + of(part), 0);
    const runs: TrainersFigures = {
      decisionMs: parts.flatMap(({ decisionMs }) => decisionMs),
      states: total(({ states }) => states),
      packets: total(({ packets }) => packets),
      waiting: total(({ waiting }) => waiting),
      commands: total(({ commands }) => commands),
      forged: total(({ forged }) => forged),
      repeated: total(({ repeated }) => repeated),
    };
    let received = await this.#received();
    for (let i = 0; i < 100 && received < runs.packets; i++) {
      await pause(100);
      received = await this.#received();
    }
    return { runs, received, tamiyo: await this.#tamiyo.status() };
  }

  async #received(): Promise<number> {
    return Number((await this.#weatherlight.status()).packets);
  }
}

async function load(system: System, runs: number, seconds: number): Promise<Figures> {
  const chain = await Chain.start(system, runs);
  const startedMs = performance.now();
  const looks = [];
  for (let left = seconds * 1_000; left > 0; left -= LOOK_MS) {
    looks.push(chain.usage());
    await pause(Math.min(left, LOOK_MS));
  }
  looks.push(chain.usage());
  const seen = await chain.end();
  const wallS = (performance.now() - startedMs) / 1_000;
  const decision = legs(seen.runs.decisionMs);
  return {
    "state to command at the run, ms": decision,
    "at Tamiyo, state to signed command, ms": seen.tamiyo.signed_ms as Figures,
    "at Tamiyo, state to command in Redis, ms": seen.tamiyo.decision_ms as Figures,
    "effect to Weatherlight, ms": legs(chain.effectMs),
    ...counts(seen),
    "packets/s": round(seen.received / wallS),
    ...usedBy(looks, seconds),
    pass: decision.p99 < LIMITS.decisionP99Ms && isComplete(seen),
  };
}

/** Nothing may be lost, and the chain must be at work again afterwards. */
async function faults(system: System): Promise<Figures> {
  const chain = await Chain.start(system, 10);
  await pause(5_000);
  system.redis.freeze();
  await pause(FROZEN_MS);
  system.redis.thaw();
  await pause(5_000);
  await system.redis.kill();
  await pause(FROZEN_MS);
  await system.redis.start();
  const effectsBefore = chain.effectMs.length;
  await pause(20_000);
  const seen = await chain.end();
  const worksAgain = chain.effectMs.length > effectsBefore;
  return { ...counts(seen), "works again": worksAgain, pass: worksAgain && isComplete(seen) };
}

/** How long an emergency takes to a run whose normal lane is full: of a bound that is raised for this, 1,024 otherwise. */
async function emergency({ redis, keyFile, closers }: System): Promise<Figures> {
  const bus = await RedisStreamsBus.open({ url: redis.url, maxQueued: 2 * FLOOD });
  const run = await RedisStreamsBus.open({ url: redis.url, maxQueued: 2 * FLOOD });
  closers.push(() => Promise.all([bus.close(), run.close()]));
  const topic = runTopic("commands", "flooded");
  const latencies: number[] = [];
  const sentMs = new Map<string, number>();
  let normal = 0;
  await run.subscribe(topic, RUN_GROUP, async ({ lane, payload }) => {
    if (lane === "normal") {
      normal++;
      // As long as a step takes.
      await pause(5);
      return;
    }
    const at = sentMs.get(Buffer.from(payload).toString("base64"));
    if (at !== undefined) latencies.push(performance.now() - at);
  });
  const filler = new Uint8Array(256);
  for (let sent = 0; sent < FLOOD; sent += 500)
    await Promise.all(Array.from({ length: 500 }, () => bus.publish(topic, filler)));
  const waitingAtStart = FLOOD - normal;
  const signer = new CommandSigner({ keys: loadKeys(keyFile), clock: systemClock });
  for (let i = 0; i < EMERGENCIES; i++) {
    const order = { kind: "EMERGENCY", level: "PAUSE_GROWTH", reason: "drill" } as const;
    const about = { commandId: `e-${i}`, trainingRunId: "flooded", issuedBy: "operator" };
    const envelope = signer.sign({ ...about, order });
    sentMs.set(Buffer.from(envelope).toString("base64"), performance.now());
    await bus.publish(topic, envelope, { lane: "emergency" });
    await pause(20);
  }
  await pause(1_000);
  const taken = legs(latencies);
  return {
    "messages waiting before": waitingAtStart,
    "messages waiting after": FLOOD - normal,
    "order to run, ms": taken,
    arrived: latencies.length,
    pass: latencies.length === EMERGENCIES && taken.p99 < LIMITS.emergencyP99Ms,
  };
}

/** Share of a core, and resident memory at the start, a quarter, half, three quarters and the end of the load. */
function usedBy(looks: readonly ReturnType<Chain["usage"]>[], seconds: number): Figures {
  const figures: Record<string, Figures> = {};
  for (const name of Object.keys(looks[0] ?? {})) {
    const all = looks.map((look) => look[name]);
    const quarters = [0, 0.25, 0.5, 0.75, 1].map((part) => all[Math.round(part * (all.length - 1))]);
    figures[name] = {
      "cores used": round(((all.at(-1)?.cpuS ?? Number.NaN) - (all[0]?.cpuS ?? Number.NaN)) / seconds, 2),
      "memory, MB": quarters.map((usage) => Math.round(usage?.memoryMb ?? Number.NaN)).join(" "),
    };
  }
  return figures;
}

function counts({ runs, received }: Awaited<ReturnType<Chain["end"]>>): Figures {
  const { states, commands, repeated, forged, packets, waiting } = runs;
  return {
    states,
    commands,
    repeated,
    forged,
    "packets sent": packets,
    "packets received": received,
    waiting,
  };
}

/** Each packet arrived; after a fault some may come twice. */
function isComplete({ runs, received }: Awaited<ReturnType<Chain["end"]>>): boolean {
  return received >= runs.packets && runs.waiting === 0 && runs.forged === 0 && runs.commands > 0;
}

function legs(values: readonly number[]): { p50: number; p95: number; p99: number; n: number } {
  const at = (share: number): number => (values.length > 0 ? round(percentile(values, share)) : Number.NaN);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), n: values.length };
}

function round(value: number, digits = 1): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
