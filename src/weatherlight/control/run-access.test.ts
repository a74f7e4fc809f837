import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openJournal } from "../../kasmina/index.node.js";
import { RunAccess } from "./run-access.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-access-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a long journal keeps what the last two checkpoints lack, and its history everything", () => {
  const access = new RunAccess(folder, "run-1", () => undefined);
  for (let sequence = 1; sequence <= 1_200; sequence++) {
    access.journal.append({
      sequence,
      busEntry: `b${sequence}`,
      commandId: `c${sequence}`,
      nonce: sequence.toString(16).padStart(32, "0"),
      issuedAtMs: sequence,
      payload: Uint8Array.of(1),
      keyId: "k1",
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
  const reopened = openJournal(join(folder, "commands.journal"));
  expect(reopened).toMatchObject({ lastSequence: 1_200, floorMs: 500 });
  expect(reopened.history()).toHaveLength(1_200);
});
