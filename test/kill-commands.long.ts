/**
 * `kill -9` while commands are handled: a child process takes signed commands from a spool folder, journals them and
 * deletes what it acknowledged. It is killed at random moments and started again, with more commands than it can handle
 * until then; the last one empties the spool. In the end every command has exactly one effect.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Random, systemClock } from "../src/base/index.js";
import { CommandSigner, KeyRing } from "../src/contracts/index.js";
import { openJournal } from "../src/kasmina/index.node.js";

const CHILD = new URL("./kill-commands.child.mjs", import.meta.url).pathname;
const KILLS = 20;
/** Commands in the spool at the start of a process: it handles half as many until it is killed. */
const WAITING = 80;
const MOST_MS = 120;
const SECRET = new Uint8Array(32).fill(5);

const folder = mkdtempSync(join(tmpdir(), "kasmina-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("each command has exactly one effect, whenever the process is killed", async () => {
  const spool = join(folder, "spool");
  const journal = join(folder, "commands.journal");
  mkdirSync(spool);
  const keys = new KeyRing([{ id: "k1", secret: SECRET }]);
  const signer = new CommandSigner({ keys, clock: systemClock });
  let sent = 0;
  const send = (): void => {
    const order = { kind: "OPTIMIZER" as const, learningRate: ++sent / 10_000 };
    const draft = { commandId: `c${sent}`, trainingRunId: "run-1", issuedBy: "test", order };
    writeFileSync(join(spool, String(sent).padStart(4, "0")), signer.sign(draft));
  };
  const random = new Random(3);
  let kills = 0;
  const handle = async (onReady: (child: ChildProcess) => void) => {
    const child = spawn(process.execPath, [CHILD, spool, journal], { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.once("data", () => onReady(child));
    await once(child, "exit");
    kills += child.signalCode === "SIGKILL" ? 1 : 0;
  };
  while (kills < KILLS) {
    for (let waiting = readdirSync(spool).length; waiting < WAITING; waiting++) send();
    await handle((child) => setTimeout(() => child.kill("SIGKILL"), random.below(MOST_MS)));
  }
  await handle(() => undefined);
  const records = openJournal(journal, { keys, trainingRunId: "run-1" }).records;
  expect(records.map(({ commandId }) => commandId).sort()).toEqual(
    Array.from({ length: sent }, (_, at) => `c${at + 1}`).sort(),
  );
  expect(records.every(({ outcome }) => outcome.status === "applied")).toBe(true);
  const effects = readFileSync(join(folder, "effects.json"), "utf8");
  expect(JSON.parse(effects)).toHaveLength(sent);
  expect(new Set(JSON.parse(effects)).size).toBe(sent);
});
