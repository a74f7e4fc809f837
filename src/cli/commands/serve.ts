/** `kasmina serve catalog|tamiyo|weatherlight`: a service for all runs that meet on one bus, until it is told to end. */
import { type Command, Option } from "commander";
import { KasminaError } from "../../base/index.js";
import { ENGINE_CHOICES, type EngineChoice } from "../../engine/index.js";
import { SERVICE_NAMES, type ServiceName, startService } from "../../weatherlight/services/index.js";
import { parseAddress } from "../../weatherlight/telemetry/http-address.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";

interface ServeFlags {
  readonly oona?: string;
  readonly prefix?: string;
  readonly health: string;
  readonly catalog?: string;
  readonly engine: EngineChoice;
  readonly batch: number;
  readonly policy: string;
  readonly silentAfter: number;
  readonly onSilent: string;
  readonly onBreakers: string;
  readonly programs?: string;
  readonly json?: boolean;
}

const LEVELS = ["none", "pause-growth", "freeze-seeds", "halt"];

export function addServe(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("<service>", SERVICE_NAMES.join(", "))
    .option("--oona <url>", "the bus: redis://… or rediss://… (default: KASMINA_REDIS)")
    .option("--prefix <name>", "before every key in Redis (default: oona)")
    .option(
      "--health <host:port>",
      "where /healthz, /readyz, /status and /metrics are; port 0: any free one",
      "127.0.0.1:0",
    )
    .option("--catalog <dir>", "catalog: its folder, which the trainers read too")
    .addOption(
      new Option("--engine <name>", "catalog: to prewarm kernels on")
        .choices([...ENGINE_CHOICES])
        .default("auto"),
    )
    .option("--batch <rows>", "catalog: rows that kernels are prewarmed with", wholeNumber, 32)
    .addOption(
      new Option("--policy <name>", "tamiyo: the policy of each run")
        .choices(["plateau", "schedule", "random"])
        .default("plateau"),
    )
    .option(
      "--silent-after <seconds>",
      "weatherlight: a run that has reported nothing for so long is silent",
      positive,
      30,
    )
    .addOption(
      new Option("--on-silent <level>", "weatherlight: what a silent run is sent")
        .choices(LEVELS)
        .default("none"),
    )
    .addOption(
      new Option(
        "--on-breakers <level>",
        "weatherlight: what all runs are sent when isolation breaks in several",
      )
        .choices(LEVELS)
        .default("pause-growth"),
    )
    .option(
      "--programs <file>",
      "weatherlight: JSON list of the kasmina commands that it starts and keeps running",
    )
    .option("--json", "print one JSON object a line")
    .action(async (name: string, flags: ServeFlags) => done(await serve(name, flags, io)));
}

async function serve(name: string, flags: ServeFlags, io: Io): Promise<number> {
  const { health, json, silentAfter, ...rest } = flags;
  const url = rest.oona ?? io.env.KASMINA_REDIS;
  if (url === undefined || url === "")
    throw new KasminaError("invalid_argument", "which bus? name it with --oona redis://… or KASMINA_REDIS");
  const say = (what: string, about: Readonly<Record<string, unknown>>): void => {
    if (json) io.stdout.write(`${JSON.stringify({ type: what, ...about })}\n`);
    else
      io.stderr.write(
        `${what}: ${Object.entries(about)
          .map(([key, value]) => `${key} ${text(value)}`)
          .join(", ")}\n`,
      );
  };
  const running = await startService(serviceName(name), {
    url,
    ...(rest.prefix !== undefined && { prefix: rest.prefix }),
    health: parseAddress(health),
    environment: io.env,
    ...(rest.catalog !== undefined && { catalogDir: rest.catalog }),
    engine: rest.engine,
    batch: rest.batch,
    policy: rest.policy,
    ...(rest.programs !== undefined && { programs: rest.programs }),
    rules: {
      silentMs: silentAfter * 1_000,
      onSilent: levelOf(rest.onSilent),
      onBreakers: levelOf(rest.onBreakers),
    },
    say,
  });
  say("ready", { service: name, health: `http://${running.address}` });
  const signal = await new Promise<string>((resolve) => {
    const stop = io.onSignal((which) => {
      stop();
      resolve(which);
    });
  });
  say("ending", { service: name, signal });
  return (await running.close()) ? EXIT.done : EXIT.failed;
}

function serviceName(name: string): ServiceName {
  const known = SERVICE_NAMES.find((each) => each === name);
  if (known) return known;
  throw new KasminaError(
    "invalid_argument",
    `there is no service ${name}; there are ${SERVICE_NAMES.join(", ")}`,
  );
}

function levelOf(level: string) {
  if (level === "pause-growth") return "PAUSE_GROWTH";
  if (level === "freeze-seeds") return "FREEZE_SEEDS";
  return level === "halt" ? "HALT" : null;
}

function wholeNumber(value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new KasminaError("invalid_argument", `expected a whole number above 0, got ${value}`);
}

function positive(value: string): number {
  const number = Number(value);
  if (Number.isFinite(number) && number > 0) return number;
  throw new KasminaError("invalid_argument", `expected a number above 0, got ${value}`);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
