/** Rollback of whole runs with a folder: from disk, past damage, on an operator's command, and replayed. */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../src/base/index.js";
import {
  type CommandOutcome,
  CommandSigner,
  type CommandSource,
  type RollbackSource,
} from "../src/contracts/index.js";
import { loadKeys } from "../src/contracts/index.node.js";
import type * as ClientModule from "../src/weatherlight/control/control-client.js";
import type { EventLine, GrowthLine } from "../src/weatherlight/folder/growth-lines.js";
import type * as RunModule from "../src/weatherlight/run/grow.js";
import type * as ReplayModule from "../src/weatherlight/run/replay.node.js";
import type * as ReportingModule from "../src/weatherlight/run/reporting.js";

/** Through the built package: the thread of the kernels needs JavaScript. */
async function load<T>(name: string): Promise<T> {
  return (await import(new URL(`../dist/weatherlight/${name}.js`, import.meta.url).href)) as T;
}
const { sendCommand } = await load<typeof ClientModule>("control/control-client");
const { replayRun } = await load<typeof ReplayModule>("run/replay.node");
const { grow } = await load<typeof RunModule>("run/grow");
const { lineCallbacks } = await load<typeof ReportingModule>("run/reporting");

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-rollback-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const OPTIONS = { data: "spirals", engine: "wasm", epochs: 6, policy: "epoch:2" } as const;
const STEPS_PER_EPOCH = 36;

function restoredIn(lines: readonly GrowthLine[]): EventLine[] {
  return lines.filter(
    (line): line is EventLine => line.type === "event" && line.name === "rollback_restored",
  );
}

test("an operator's rollback, to memory and to the checkpoint, is reported, and the run replays with the same bits", async () => {
  const runDir = join(root, "ordered");
  const orders: Readonly<Record<number, RollbackSource>> = { 2: "memory", 3: "checkpoint", 5: "checkpoint" };
  const lines: GrowthLine[] = [];
  const sent: Promise<CommandOutcome>[] = [];
  const onLine = (line: GrowthLine): void => {
    lines.push(line);
    const source = line.type === "epoch" ? orders[line.epoch] : undefined;
    if (source) sent.push(sendCommand(runDir, { order: rollbackTo(source) }));
  };
  await grow({ ...OPTIONS, runDir, ...lineCallbacks(onLine) });
  expect((await Promise.all(sent)).map(({ status }) => status)).toEqual(["applied", "applied", "applied"]);
  const restored = restoredIn(lines);
  expect(restored.map(({ source, cause, restored }) => [source, cause, restored])).toEqual([
    ["memory", "command", true],
    ["checkpoint", "command", true],
    ["checkpoint", "command", true],
  ]);
  for (const { step, restored_step, source } of restored) {
    expect(Number(restored_step)).toBeLessThan(Number(step));
    if (source === "checkpoint") expect(Number(restored_step) % STEPS_PER_EPOCH).toBe(0);
  }
  expect(await replayRun(runDir)).toMatchObject({ firstDifference: null, sameTensors: true });
});

test("a damaged checkpoint is passed over for the one before it, and the replay knows", async () => {
  const runDir = join(root, "damaged");
  const lines: GrowthLine[] = [];
  const step = 4 * STEPS_PER_EPOCH + 7;
  let boundaries = 0;
  const commands: CommandSource = {
    drain: () => {
      if (boundaries++ !== step) return [];
      damageNewest(join(runDir, "checkpoint"));
      return [{ envelope: signedRollback(runDir), busEntry: "test-1", acknowledge: () => undefined }];
    },
  };
  const asked = { ...OPTIONS, runDir, runId: "damaged", commands };
  await grow({ ...asked, ...lineCallbacks((line) => void lines.push(line)) });
  expect(restoredIn(lines)).toEqual([
    expect.objectContaining({ source: "checkpoint", step, restored_step: 3 * STEPS_PER_EPOCH }),
  ]);
  const notices = lines.filter((line) => line.type === "notice" && line.text.includes("not used"));
  expect(notices).toHaveLength(1);
  expect(await replayRun(runDir)).toMatchObject({ firstDifference: null, sameTensors: true });
});

function rollbackTo(source: RollbackSource) {
  return { kind: "ROLLBACK", source, reason: "as the test says" } as const;
}

function signedRollback(runDir: string): Uint8Array {
  const signer = new CommandSigner({ keys: loadKeys(join(runDir, "control.keys")), clock: systemClock });
  const order = rollbackTo("checkpoint");
  return signer.sign({ commandId: "c1", trainingRunId: "damaged", issuedBy: "test", order });
}

/** Overwrites the tensors that were written last. */
function damageNewest(folder: string): void {
  const files = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  const writtenMs = (name: string): number => statSync(join(folder, name)).mtimeMs;
  const [newest] = files.sort((a, b) => writtenMs(b) - writtenMs(a));
  if (newest) writeFileSync(join(folder, newest), "damaged");
}
