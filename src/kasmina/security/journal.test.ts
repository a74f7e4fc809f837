import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { CommandSigner, decodeEnvelope, KeyRing } from "../../contracts/index.js";
import type { JournalOptions } from "./durable-journal.js";
import { type CommandJournal, type FetchResult, type JournalRecord, MemoryJournal } from "./journal.js";
import { openJournal as openJournalAt } from "./journal.node.js";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-journal-"));
  folders.push(folder);
  return join(folder, "commands.journal");
}

const RUN_ID = "run-1";
const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(1) }]);

function openJournal(path: string, options: Partial<JournalOptions> = {}) {
  return openJournalAt(path, { keys, trainingRunId: RUN_ID, ...options });
}

/** What is issued for a run, dated by its number. */
function signed(sequence: number, trainingRunId = RUN_ID, ring = keys): Uint8Array {
  const nonce = new Uint8Array(16);
  new DataView(nonce.buffer).setUint32(12, sequence);
  const signer = new CommandSigner({
    keys: ring,
    clock: new ManualClock(1_000 * sequence),
    nonce: () => nonce,
  });
  const order = { kind: "OPTIMIZER", learningRate: 0.1 } as const;
  return signer.sign({ commandId: `c${sequence}`, trainingRunId, issuedBy: "test", order });
}

function record(sequence: number, changes: Partial<JournalRecord> = {}): JournalRecord {
  return {
    sequence,
    busEntry: `entry-${sequence}`,
    commandId: `c${sequence}`,
    nonce: sequence.toString(16).padStart(32, "0"),
    issuedAtMs: 1_000 * sequence,
    envelope: signed(sequence),
    payload: decodeEnvelope(signed(sequence))?.payload ?? new Uint8Array(),
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
    // Every byte near the ends of the line, every 29th in between: each is three openings with their fsync.
    const lengths = Array.from({ length: whole.length - sound }, (_, at) => sound + at);
    const ends = (length: number): boolean => length < sound + 4 || length > whole.length - 5;
    for (const length of lengths.filter((length) => ends(length) || length % 29 === 0)) {
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
    bytes[100] = (bytes[100] ?? 0) ^ 0x80;
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

describe("a journal that somebody else wrote in", () => {
  /** Four commits of one command each, the lines of the file, and where it is. */
  function written(): { readonly path: string; readonly lines: readonly string[] } {
    const path = newPath();
    const journal = openJournal(path);
    for (const i of [1, 2, 3, 4]) {
      journal.append(record(i));
      journal.commit();
    }
    journal.close();
    return { path, lines: readFileSync(path, "utf8").split(/(?<=\n)/) };
  }

  /** A line as a stranger would write it, who knows everything but the key. */
  function forged(n: number, changes: object = {}): string {
    const { sequence, busEntry, step, epoch, acceptedAtMs, outcome, envelope } = record(5);
    const stored = { sequence, busEntry, step, epoch, acceptedAtMs, outcome };
    const records = [{ ...stored, envelope: Buffer.from(envelope).toString("base64"), ...changes }];
    return `${"0".repeat(64)} ${JSON.stringify({ n, records })}\n`;
  }

  test.each<[string, (lines: readonly string[]) => readonly string[]]>([
    ["forged at the end", (lines) => [...lines, forged(4)]],
    ["forged at the end, without a seal", (lines) => [...lines, forged(4).slice(65)]],
    ["forged at the end, in the form of the first format", (lines) => [...lines, forged(4).slice(48)]],
    ["forged in the middle", (lines) => lines.toSpliced(2, 0, forged(2))],
    ["dropped at the beginning", (lines) => lines.slice(1)],
    ["dropped in the middle", (lines) => lines.toSpliced(2, 1)],
    ["repeated", (lines) => [...lines, lines[3] ?? ""]],
    ["repeated in place", (lines) => lines.toSpliced(2, 0, lines[1] ?? "")],
    ["moved", ([a = "", b = "", c = "", d = ""]) => [a, c, b, d]],
    ["changed", (lines) => lines.map((line) => line.replace('"step":3', '"step":9'))],
    [
      "given another seal",
      (lines) => lines.map((line, i) => (i === 2 ? `${"f".repeat(64)}${line.slice(64)}` : line)),
    ],
  ])("is refused where a line was %s", (_, change) => {
    const { path, lines } = written();
    writeFileSync(path, change(lines).join(""));
    expect(() => openJournal(path)).toThrow(/changed by somebody else|does not begin/);
  });

  test("is refused under another key of the same name, another run's id, or another configuration", () => {
    const { path } = written();
    const others = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(2) }]);
    expect(() => openJournal(path, { keys: others })).toThrow(/changed by somebody else/);
    const unknown = new KeyRing([{ id: "k2", secret: new Uint8Array(32).fill(1) }]);
    expect(() => openJournal(path, { keys: unknown })).toThrow(/sealed with key k1, which is not here/);
    expect(() => openJournal(path, { trainingRunId: "run-2" })).toThrow(/is of run run-1, not of run-2/);
    expect(() => openJournal(path, { about: "x" })).toThrow(/run.json was changed/);
  });

  test("is refused where a command in it is for another run, or was signed by nobody, though its seal is right", () => {
    const others = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(2) }]);
    for (const [envelope, message] of [
      [signed(1, "run-2"), /for another run/],
      [signed(1, RUN_ID, others), /nobody signed/],
      [Uint8Array.of(1, 2, 3), /holds no command/],
    ] as const) {
      const path = newPath();
      const journal = openJournal(path);
      journal.append(record(1, { envelope }));
      journal.commit();
      expect(() => openJournal(path)).toThrow(message);
    }
  });

  test("a key that has left the ring seals on, and older keys verify", () => {
    const { path } = written();
    const rotated = new KeyRing([
      { id: "k2", secret: new Uint8Array(32).fill(9) },
      { id: "k1", secret: new Uint8Array(32).fill(1) },
    ]);
    const journal = openJournal(path, { keys: rotated });
    journal.append(record(5, { envelope: signed(5, RUN_ID, rotated), keyId: "k2" }));
    journal.commit();
    journal.compact(3, 3_000);
    journal.close();
    const again = openJournal(path, { keys: rotated });
    expect(again.records.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
    expect(again.history().map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
  });

  test("lines of its history cannot be dropped, changed or added", () => {
    const { path } = written();
    const journal = openJournal(path);
    journal.compact(3, 3_000);
    journal.close();
    const history = `${path}.history`;
    const text = readFileSync(history, "utf8");
    for (const changed of ["", text.replace('"step":1', '"step":2'), text + text, text + forged(1)]) {
      writeFileSync(history, changed);
      expect(() => openJournal(path).history()).toThrow(/history are missing|changed by somebody else/);
    }
  });

  test("of the first format is refused, for its commands are not signed", () => {
    const path = newPath();
    writeFileSync(path, `6007a1da17b260fb {"records":[]}\n`);
    expect(() => openJournal(path)).toThrow(/older format/);
  });

  test("is only looked at where that is asked for", () => {
    const { path, lines } = written();
    writeFileSync(path, `${lines.join("")}torn`);
    expect(openJournal(path, { readOnly: true }).records).toHaveLength(4);
    expect(readFileSync(path, "utf8")).toBe(`${lines.join("")}torn`);
  });
});

test("a compaction of large commands makes no line longer than a few of them", () => {
  const path = newPath();
  const journal = openJournal(path);
  for (let i = 1; i <= 100; i++) journal.append(record(i));
  journal.commit();
  journal.compact(90, 90_000);
  journal.close();
  const longest = (name: string) =>
    Math.max(
      ...readFileSync(name, "utf8")
        .split("\n")
        .map(({ length }) => length),
    );
  expect(Math.max(longest(path), longest(`${path}.history`))).toBeLessThan(16 * 700);
});
