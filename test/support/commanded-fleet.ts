/**
 * Runs on one bus and who commands them without pause: what was sent, what each journal says became of it, what the bus named as
 * lost. Simulated runs stand in this process, real ones are those of the command line.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, systemClock } from "../../src/base/index.js";
import {
  CommandSigner,
  decodeOutcome,
  type KeyRing,
  runTopic,
  SignedMessages,
  sharedTopic,
} from "../../src/contracts/index.js";
import { addKey, loadKeys } from "../../src/contracts/index.node.js";
import { readJournal } from "../../src/kasmina/index.node.js";
import { type BusNotice, RedisStreamsBus } from "../../src/oona/index.node.js";
import { SimulatedRun } from "./simulated-run.js";

const MAIN = new URL("../../dist/cli/main.js", import.meta.url).pathname;
/** A command to some run each so many ms. */
const COMMAND_MS = 20;
/** A command must not be dated before the window of freshness when it comes. */
const PUBLISH_TIMEOUT_MS = 45_000;
const LIMITS = { ackTimeoutMs: 5_000 };

/** One command. */
export interface Sent {
  readonly runId: string;
  readonly commandId: string;
  /** Unlike that of every other command. */
  readonly rate: number;
  /** The bus's id, once it has confirmed it; undefined while it has not. */
  entryId?: string;
  /** Why the bus refused it. */
  problem?: string;
}

/** A process of `kasmina grow` on the bus. */
interface RealRun {
  readonly id: string;
  readonly folder: string;
  readonly child: ChildProcess;
}

export interface FleetOptions {
  /** Where who commands reaches Redis. */
  readonly url: string;
  /** Where the runs do. Default: the same. */
  readonly runsUrl?: string;
  readonly folder: string;
  readonly simulated: number;
  readonly real: number;
}

export class CommandedFleet {
  readonly sent: Sent[] = [];
  /** Ids of commands that some run answered, as its outcomes say. */
  readonly answered = new Set<string>();
  readonly simulated: SimulatedRun[] = [];
  readonly #notices: BusNotice[] = [];
  readonly #real: RealRun[] = [];
  readonly #bus: RedisStreamsBus;
  readonly #keys: KeyRing;
  readonly #signer: CommandSigner;
  readonly #underway = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  static async start({ url, runsUrl = url, folder, simulated, real }: FleetOptions): Promise<CommandedFleet> {
    const keyFile = join(folder, "keys");
    addKey(keyFile, systemClock.nowMs());
    const keys = loadKeys(keyFile);
    const notices: BusNotice[] = [];
    const bus = await RedisStreamsBus.open({
      ...{ url, name: "commander", publishTimeoutMs: PUBLISH_TIMEOUT_MS, ...LIMITS },
      onNotice: (notice) => notices.push(notice),
    });
    const fleet = new CommandedFleet(bus, keys, notices);
    await new SignedMessages({ port: bus, keys }).subscribe(
      sharedTopic("outcomes"),
      "commander",
      ({ payload }) => void fleet.answered.add(decodeOutcome(payload).commandId ?? ""),
    );
    for (let i = 0; i < simulated; i++)
      fleet.simulated.push(
        await SimulatedRun.open({ id: `run-${i}`, keys, folder, bus: { url: runsUrl, ...LIMITS } }),
      );
    const env = { KASMINA_KEY_FILE: keyFile, KASMINA_REDIS: runsUrl };
    for (let i = 0; i < real; i++) fleet.#real.push(await startReal(join(folder, `real-${i}`), env));
    fleet.#timer = setInterval(() => fleet.#command(), COMMAND_MS);
    return fleet;
  }

  private constructor(bus: RedisStreamsBus, keys: KeyRing, notices: BusNotice[]) {
    this.#bus = bus;
    this.#keys = keys;
    this.#notices = notices;
    this.#signer = new CommandSigner({ keys, clock: systemClock });
  }

  /** Entries of the commands' streams that the bus named as lost, as `<run id> <entry id>`. */
  get lost(): readonly string[] {
    return this.#notices.flatMap((notice) =>
      notice.kind === "lost" ? notice.entryIds.map((id) => `${notice.topic} ${id}`) : [],
    );
  }

  /** Sends no more, and resolves when the bus has taken or refused everything. */
  async pause(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underway);
  }

  /** Messages that wait on some run's disk for the bus. */
  get waiting(): number {
    return this.simulated.reduce((sum, run) => sum + run.waiting, 0);
  }

  /** Ends the runs. @returns the command ids in each run's journal that were applied, in order */
  async end(): Promise<ReadonlyMap<string, readonly string[]>> {
    await this.pause();
    const applied = new Map<string, readonly string[]>();
    for (const run of this.simulated) {
      await run.close();
      applied.set(run.id, this.#appliedIn(run.journalPath, run.id));
    }
    for (const { id, folder, child } of this.#real) {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
      applied.set(id, this.#appliedIn(join(folder, "commands.journal"), id));
    }
    await this.#bus.close();
    return applied;
  }

  /** For a test that failed: closing twice does nothing. */
  async kill(): Promise<void> {
    clearInterval(this.#timer);
    for (const { child } of this.#real) child.kill("SIGKILL");
    for (const run of this.simulated) await run.close();
    await this.#bus.close();
  }

  #appliedIn(path: string, trainingRunId: string): readonly string[] {
    const { records, problem } = readJournal(path, { keys: this.#keys, trainingRunId });
    if (problem !== undefined) throw new Error(`${path}: ${problem}`);
    return records.filter(({ outcome }) => outcome.status === "applied").map(({ commandId }) => commandId);
  }

  #command(): void {
    const ids = [...this.simulated, ...this.#real].map(({ id }) => id);
    const number = this.sent.length + 1;
    const runId = ids[number % ids.length] ?? "";
    const sent: Sent = { runId, commandId: `c-${number}`, rate: 0.001 + number * 1e-8 };
    this.sent.push(sent);
    const envelope = this.#signer.sign({
      ...{ commandId: sent.commandId, trainingRunId: runId, issuedBy: "test" },
      order: { kind: "OPTIMIZER", learningRate: sent.rate },
    });
    const work = this.#bus.publish(runTopic("commands", runId), envelope).then(
      (entryId) => {
        sent.entryId = entryId;
      },
      (error: unknown) => {
        sent.problem = messageOf(error);
      },
    );
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }
}

/** Goes on until it is told to stop. */
async function startReal(folder: string, env: Readonly<Record<string, string>>): Promise<RealRun> {
  const options =
    "--data spirals --host resmlp:width=128 --engine native --threads 1 --no-growth --epochs 100000 --json";
  const args = [MAIN, "grow", "--run-dir", folder, ...options.split(" ")];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (data) => {
      if (text.includes('"type":"step"')) return;
      text += data;
      if (text.includes('"type":"step"')) resolve();
    });
    child.once("exit", (code) => reject(new Error(`a run ended with ${code}`)));
  });
  const { run_id: id } = JSON.parse(readFileSync(join(folder, "run.json"), "utf8"));
  return { id, folder, child };
}
