import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock, toHex } from "../../base/index.js";
import { CommandSigner, decodeEnvelope } from "../../contracts/index.js";
import { openJournal } from "../../kasmina/index.node.js";
import { RunAccess } from "./run-access.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-access-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function signed({ keys }: RunAccess, sequence: number) {
  const nonce = new Uint8Array(16);
  new DataView(nonce.buffer).setUint32(12, sequence);
  const signer = new CommandSigner({ keys, clock: new ManualClock(sequence), nonce: () => nonce });
  const commandId = `c${sequence}`;
  const order = { kind: "EMERGENCY", level: "CLEAR", reason: "" } as const;
  const envelope = signer.sign({ commandId, trainingRunId: "run-1", issuedBy: "test", order });
  const payload = decodeEnvelope(envelope)?.payload ?? envelope;
  return { envelope, payload, keyId: keys.activeId, commandId, nonce: toHex(nonce), issuedAtMs: sequence };
}

test("a long journal keeps what the last two checkpoints lack, and its history everything", () => {
  const access = new RunAccess({ folder, runId: "run-1" });
  for (let sequence = 1; sequence <= 1_200; sequence++) {
    access.journal.append({
      sequence,
      busEntry: `b${sequence}`,
      ...signed(access, sequence),
      step: sequence,
      epoch: 0,
      acceptedAtMs: sequence,
      outcome: { status: "applied", reason: "" },
    });
  }
  access.journal.commit();
  const after = { nonceTtlMs: 300_000, previousKept: true };
  access.checkpointed(500, after);
  expect(access.journal.records).toHaveLength(1_200);
  access.checkpointed(1_000, after);
  expect(access.journal.records.map(({ sequence }) => sequence)[0]).toBe(501);
  access.journal.close();
  const reopened = openJournal(join(folder, "commands.journal"), {
    keys: access.keys,
    trainingRunId: "run-1",
  });
  expect(reopened).toMatchObject({ lastSequence: 1_200, floorMs: 500 });
  expect(reopened.history()).toHaveLength(1_200);
});
