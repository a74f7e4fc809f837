/** `kasmina emergency <level>`: pauses growth, freezes seeds, halts a running trainer or all on a bus, or ends the emergency. */
import type { Command } from "commander";
import { KasminaError, printable } from "../../base/index.js";
import type { EmergencyLevel } from "../../contracts/index.js";
import { operatorName } from "../../weatherlight/control/control-client.js";
import { commandFleetAt, type FleetAnswer } from "../../weatherlight/control/fleet-emergency.js";
import { sharedKeys } from "../../weatherlight/control/run-keys.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, describeOutcome, type OperatorFlags, operate } from "./operate.js";

const LEVELS: Readonly<Record<string, EmergencyLevel>> = {
  "pause-growth": "PAUSE_GROWTH",
  "freeze-seeds": "FREEZE_SEEDS",
  halt: "HALT",
  clear: "CLEAR",
};

interface EmergencyFlags extends OperatorFlags {
  readonly reason: string;
  readonly all?: boolean;
  readonly oona?: string;
  readonly prefix?: string;
  readonly wait: number;
}

export function addEmergency(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(
    command
      .argument("<level>", Object.keys(LEVELS).join(", "))
      .option("--reason <text>", "for the run's log", "operator")
      .option("--all", "every run on the bus, and exit code 1 where one does not apply it")
      .option("--oona <url>", "with --all: the bus, redis://… or rediss://… (default: KASMINA_REDIS)")
      .option("--prefix <name>", "with --all: before every key in Redis (default: oona)")
      .option("--wait <seconds>", "with --all: longest wait for answers", seconds, 10),
  ).action(async (word: string, flags: EmergencyFlags) => {
    const level = Object.hasOwn(LEVELS, word) ? LEVELS[word] : undefined;
    if (!level) {
      const known = Object.keys(LEVELS).join(", ");
      throw new KasminaError("invalid_argument", `the level must be one of ${known}, got "${word}"`);
    }
    if (flags.all) return done(await commandAll(level, flags, io));
    if (flags.oona !== undefined || flags.prefix !== undefined)
      throw new KasminaError("invalid_argument", "--oona and --prefix go with --all");
    done(await operate({ order: { kind: "EMERGENCY", level, reason: flags.reason } }, flags, io));
  });
}

async function commandAll(level: EmergencyLevel, flags: EmergencyFlags, io: Io): Promise<number> {
  const url = flags.oona ?? io.env.KASMINA_REDIS;
  if (flags.runDir !== undefined)
    throw new KasminaError("invalid_argument", "--run-dir names one run, --all means every run of a bus");
  if (!url)
    throw new KasminaError("invalid_argument", "which bus? name it with --oona redis://… or KASMINA_REDIS");
  const keys = sharedKeys(io.env);
  const { reason, prefix, wait } = flags;
  const order = { keys, level, reason, issuedBy: operatorName(), waitMs: wait * 1_000 };
  const answers = await commandFleetAt({ url, prefix }, order);
  const reached = answers.length > 0 && answers.every(isReached);
  io.stdout.write(flags.json ? `${JSON.stringify(jsonOf(level, answers))}\n` : textOf(level, answers));
  return reached ? EXIT.done : EXIT.failed;
}

/** Whether the run does what it was told, or has nothing left to do. */
function isReached(answer: FleetAnswer): boolean {
  if (answer.kind === "answered") return ["applied", "duplicate"].includes(answer.outcome.status);
  return answer.kind === "ended";
}

/** Ends with a newline. */
function textOf(level: EmergencyLevel, answers: readonly FleetAnswer[]): string {
  if (answers.length === 0) return "no run is on this bus\n";
  const lines = answers.map((answer) => printable(`${answer.trainingRunId}: ${describe(answer)}`));
  const reached = answers.filter(isReached).length;
  return `${[...lines, `${level}: ${reached} of ${answers.length} runs`].join("\n")}\n`;
}

function describe(answer: FleetAnswer): string {
  switch (answer.kind) {
    case "answered":
      return describeOutcome(answer.outcome);
    case "ended":
      return "it ended meanwhile";
    case "unsent":
      return `not sent: ${answer.problem}`;
    case "silent":
      return `no answer; ${describeSilence(answer.lastAskedMs)}`;
  }
}

/** A process that lives asks its bus every second. */
const LIVES_MS = 5_000;

function describeSilence(lastAskedMs: number | undefined): string {
  if (lastAskedMs === undefined) return "no process of it was ever there";
  if (lastAskedMs < LIVES_MS) return "its process lives";
  return `it has not been there for ${Math.round(lastAskedMs / 1_000)} s`;
}

function jsonOf(level: EmergencyLevel, answers: readonly FleetAnswer[]) {
  return {
    type: "emergency",
    level,
    reached: answers.filter(isReached).length,
    runs: answers.map((answer) => ({
      run_id: answer.trainingRunId,
      state: answer.kind,
      status: answer.kind === "answered" ? answer.outcome.status : null,
      reason: answer.kind === "answered" ? answer.outcome.reason : null,
      problem: answer.kind === "unsent" ? answer.problem : null,
      last_asked_ms: answer.kind === "silent" ? (answer.lastAskedMs ?? null) : null,
    })),
  };
}

function seconds(value: string): number {
  const number = Number(value);
  if (Number.isFinite(number) && number > 0 && number <= 3_600) return number;
  throw new KasminaError("invalid_argument", `--wait must be above 0 s and at most 3600 s, got ${value}`);
}
