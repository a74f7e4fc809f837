/**
 * Commands whose names are anything, to runs that really train: over the socket of a process, and over a bus. None ends a run,
 * and each is applied or refused with a reason.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import fc from "fast-check";
import { expect } from "vitest";
import { systemClock } from "../src/base/index.js";
import { type CommandOutcome, CommandSigner, KeyRing, runTopic } from "../src/contracts/index.js";
import { loadKeys } from "../src/contracts/index.node.js";
import { commandDrafts } from "../src/kasmina/commands/identifiers.fixture.js";
import { MemoryBus } from "../src/oona/index.js";
import { BusCommands } from "../src/weatherlight/control/bus-commands.js";
import { grow } from "../src/weatherlight/run/grow.js";
import { begin, inspected, summaryOf } from "./endings.fixture.js";
import { kasmina } from "./kasmina.js";

/** About so many names does a command hold. */
const NAMES_A_COMMAND = 5;
/** Commands on their way at once; the socket takes 64 of a connection. */
const AT_ONCE = 48;

/** Commands with so many names in them, the same ones for a seed; each is signed when it is its turn, so that none is stale. */
class Commands {
  readonly #drafts: (typeof commandDrafts extends fc.Arbitrary<infer Draft> ? Draft : never)[];
  readonly #signer: CommandSigner;
  readonly #runId: string;
  readonly #answers: CommandOutcome[] = [];
  #sent = 0;

  constructor(values: number, seed: number, keys: KeyRing, runId: string) {
    this.#drafts = fc.sample(commandDrafts, { numRuns: Math.ceil(values / NAMES_A_COMMAND), seed });
    this.#signer = new CommandSigner({ keys, clock: systemClock });
    this.#runId = runId;
  }

  /** Undefined where all are sent. */
  next(): Uint8Array | undefined {
    const draft = this.#drafts[this.#sent++];
    const own = { commandId: `c${this.#sent}`, issuedBy: "test" };
    return draft && this.#signer.sign({ ...own, ...draft, trainingRunId: this.#runId });
  }

  /** Each is applied or refused, and why. */
  answered(outcome: CommandOutcome): void {
    expect(["applied", "refused", "duplicate"]).toContain(outcome.status);
    if (outcome.status === "refused") expect(outcome.reason).toMatch(/^[a-z_]+$/);
    this.#answers.push(outcome);
  }

  get areAnswered(): boolean {
    return this.#answers.length === this.#drafts.length;
  }

  /** Some names were good and some were not. */
  expectBoth(): void {
    expect(this.#answers.map(({ status }) => status)).toContain("applied");
    expect(this.#answers.map(({ reason }) => reason)).toContain("invalid_id");
  }
}

/** To the process of a run, which then is still there, can be looked at and goes on when it is resumed. */
export async function tryNamesOverSocket(root: string, values: number, seed: number): Promise<void> {
  const folder = `names-${seed}`;
  const { child, ended } = await begin(root, folder, ["--epochs", "100000"]);
  const path = join(root, folder);
  const address = JSON.parse(readFileSync(join(path, "control.json"), "utf8"));
  const commands = new Commands(values, seed, loadKeys(join(path, "control.keys"), {}), address.run_id);
  await sendOver(address.socket, commands);
  commands.expectBoth();
  expect(child.exitCode).toBeNull();
  child.kill("SIGTERM");
  expect(await ended).toBe(143);
  expect(await summaryOf(root, folder)).toMatchObject({ ended: "interrupted" });
  expect(await inspected(root, folder)).toMatchObject({ ended: "interrupted" });
  expect((await kasmina(["report", folder], root)).code).toBe(0);
}

async function sendOver(socketPath: string, commands: Commands): Promise<void> {
  const socket = connect(socketPath);
  await once(socket, "connect");
  const sendOne = (): void => {
    const envelope = commands.next();
    if (!envelope) return;
    const base64 = Buffer.from(envelope).toString("base64");
    socket.write(`${JSON.stringify({ type: "command", envelope: base64 })}\n`);
  };
  const hear = (line: string): void => {
    const response = JSON.parse(line) as { readonly type: string; readonly outcome: CommandOutcome };
    expect(response.type, line).toBe("outcome");
    commands.answered(response.outcome);
    sendOne();
  };
  for (let at = 0; at < AT_ONCE; at++) sendOne();
  for await (const line of createInterface({ input: socket })) {
    hear(line);
    if (commands.areAnswered) return void socket.destroy();
  }
  throw new Error("the run hung up before it had answered all");
}

/** To a run on a bus, which then ends as it was asked to. */
export async function tryNamesOverBus(values: number, seed: number): Promise<void> {
  const runId = `names-${seed}`;
  const keys = new KeyRing([{ id: "test", secret: new Uint8Array(32).fill(3) }]);
  const bus = new MemoryBus();
  const stop = new AbortController();
  const commands = new Commands(values, seed, keys, runId);
  const sendOne = (): void => {
    const envelope = commands.next();
    if (envelope) void bus.publish(runTopic("commands", runId), envelope);
  };
  const onOutcome = (_: string, outcome: CommandOutcome): void => {
    commands.answered(outcome);
    sendOne();
    if (commands.areAnswered) stop.abort();
  };
  const source = await BusCommands.open({ messages: bus, trainingRunId: runId, onOutcome });
  const asked = { data: "spirals", engine: "wasm", growth: false, epochs: 100_000 } as const;
  const run = grow({ ...asked, runId, keys, commands: source, signal: stop.signal });
  for (let at = 0; at < AT_ONCE; at++) sendOne();
  expect((await run).ended).toBe("interrupted");
  await source.close();
  await bus.close();
  expect(commands.areAnswered).toBe(true);
  commands.expectBoth();
}
