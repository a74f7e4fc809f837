import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type CommandJournal, type FetchResult, type JournalRecord, MemoryJournal } from "./journal.js";
import { openJournal } from "./journal.node.js";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-journal-"));
  folders.push(folder);
  return join(folder, "commands.journal");
}

function record(sequence: number, changes: Partial<JournalRecord> = {}): JournalRecord {
  return {
    sequence,
    busEntry: `entry-${sequence}`,
    commandId: `c${sequence}`,
    nonce: sequence.toString(16).padStart(32, "0"),
    issuedAtMs: 1_000 * sequence,
    payload: Uint8Array.of(sequence, 255, 0),
    keyId: "k1",
    step: sequence,
    epoch: 0,
    acceptedAtMs: 1_000 * sequence,
    outcome: { status: "applied", reason: "", effectiveStep: sequence + 20 },
    ...changes,
  };
}

function result(step: number, prewarmP95Ms = 2): FetchResult {
  const measured = { sha256: "a".repeat(64), prewarmP50Ms: 1, prewarmP95Ms, fallbackUsed: false };
  return { requestId: "run/s1/0", step, found: { status: "attached", ...measured } };
}

const JOURNALS: readonly [string, () => CommandJournal][] = [
  ["in memory", () => new MemoryJournal()],
  ["in a file", () => openJournal(newPath())],
];

describe.each(JOURNALS)("a journal %s", (_, open) => {
  test("finds what was appended, by bus entry", () => {
    const journal = open();
    expect([journal.lastSequence, journal.floorMs, journal.records]).toEqual([
      0,
      Number.NEGATIVE_INFINITY,
      [],
    ]);
    journal.append(record(1));
    journal.append(record(2, { floorMs: 77 }));
    journal.commit();
    expect(journal.find("entry-2")).toEqual(record(2, { floorMs: 77 }));
    expect(journal.find("entry-3")).toBeUndefined();
    expect([journal.lastSequence, journal.floorMs]).toEqual([2, 77]);
  });

  test("finds what was found of a kernel, by request and step", () => {
    const journal = open();
    journal.appendFetchResult(result(20));
    journal.appendFetchResult(result(44));
    journal.commit();
    expect(journal.fetchResultOf("run/s1/0", 44)).toEqual(result(44));
    expect(journal.fetchResultOf("run/s1/0", 45)).toBeUndefined();
    expect(journal.fetchResults).toEqual([result(20), result(44)]);
  });

  test("compaction keeps what a resume or the ledger needs and raises the floor over the rest", () => {
    const journal = open();
    for (let i = 1; i <= 5; i++) journal.append(record(i));
    journal.commit();
    journal.compact(4, 3_000);
    expect(journal.records.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
    expect(journal.find("entry-1")).toBeUndefined();
    expect([journal.lastSequence, journal.floorMs]).toEqual([5, 2_000]);
  });
});

describe("a journal on disk", () => {
  test("is the owner's alone and reopens as it was", () => {
    const path = newPath();
    const journal = openJournal(path);
    journal.append(record(1));
    journal.append(record(2));
    journal.commit();
    journal.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(openJournal(path).records).toEqual([record(1), record(2)]);
  });

  test("keeps what was found of kernels, numbers that are none included, through a compaction", () => {
    const path = newPath();
    const journal = openJournal(path);
    const failed: FetchResult = {
      requestId: "run/s2/1",
      step: 30,
      found: { status: "missing", code: "timeout", message: "too late" },
    };
    journal.append(record(1));
    journal.appendFetchResult(result(20, Number.NaN));
    journal.commit();
    journal.appendFetchResult(failed);
    journal.commit();
    journal.compact(2, 2_000);
    journal.close();
    expect(openJournal(path).fetchResults).toEqual([result(20, Number.NaN), failed]);
    expect(openJournal(path).records).toEqual([]);
  });

  test("what was never committed is not there", () => {
    const path = newPath();
    const journal = openJournal(path);
    journal.append(record(1));
    journal.commit();
    journal.append(record(2));
    expect(openJournal(path).records).toEqual([record(1)]);
  });

  test("a tail torn at any byte is cut off, and appending goes on behind it", () => {
    const path = newPath();
    const journal = openJournal(path);
    journal.append(record(1));
    journal.commit();
    const sound = readFileSync(path).length;
    journal.append(record(2));
    journal.append(record(3));
    journal.commit();
    const whole = readFileSync(path);
    for (let length = sound; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const torn = openJournal(path);
      expect(torn.records).toEqual([record(1)]);
      torn.append(record(2));
      torn.commit();
      torn.close();
      expect(openJournal(path).records).toEqual([record(1), record(2)]);
    }
  });

  test("a block of the last line that never reached the disk is a torn tail too", () => {
    const path = newPath();
    const journal = openJournal(path);
    for (const i of [1, 2]) {
      journal.append(record(i));
      journal.commit();
    }
    const bytes = readFileSync(path);
    bytes.fill(0, bytes.length - 60, bytes.length - 20);
    writeFileSync(path, bytes);
    expect(openJournal(path).records).toEqual([record(1)]);
  });

  test("damage before the last line is refused, not skipped", () => {
    const path = newPath();
    const journal = openJournal(path);
    for (const i of [1, 2]) {
      journal.append(record(i));
      journal.commit();
    }
    const bytes = readFileSync(path);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(() => openJournal(path)).toThrow(/damaged at byte 0/);
  });

  test("compacted records are in the history, once, whatever was cut short", () => {
    const path = newPath();
    const journal = openJournal(path);
    for (let i = 1; i <= 4; i++) journal.append(record(i));
    journal.commit();
    const before = readFileSync(path);
    journal.compact(4, 3_000);
    const all = [1, 2, 3, 4].map((i) => record(i));
    expect(openJournal(path).history()).toEqual(all);
    expect(openJournal(path)).toMatchObject({ lastSequence: 4, floorMs: 2_000 });
    // Cut between the history and the replacement: the journal is still the old one.
    writeFileSync(path, before);
    expect(openJournal(path).history()).toEqual(all);
  });

  test("a folder that is gone is an error of code io", () => {
    const journal = openJournal(join(newPath(), "nowhere", "commands.journal"));
    journal.append(record(1));
    expect(() => journal.commit()).toThrow(/command journal: ENOENT/);
    expect(() => journal.commit()).toThrow(/failed before/);
  });
});
