import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { utf8 } from "../bytes.js";
import {
  GrowingFile,
  guaranteesOf,
  hasFolder,
  makeFolder,
  makeSubfolder,
  readJson,
  readRegular,
  readRegularIfThere,
  readRegularSync,
  writeFileAtomically,
  writeFileAtomicallySync,
} from "./index.node.js";
import { withDeadline } from "./read.node.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-disk-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const textOf = (name: string): string => readFileSync(at(name), "utf8");
const modeOf = (name: string): number => statSync(at(name)).mode & 0o777;
const isRoot = process.getuid?.() === 0;

/** What a stranger can put where a file is expected. */
const TRAPS: readonly [string, (path: string) => void, RegExp][] = [
  ["a link", (path) => symlinkSync("/etc/hostname", path), /is a link/],
  ["a link to nowhere", (path) => symlinkSync("nowhere", path), /is a link/],
  ["a FIFO", (path) => void execFileSync("mkfifo", [path]), /is not a regular file/],
  ["a folder", (path) => mkdirSync(path), /is a folder/],
];

describe("reading", () => {
  const limits = { maxBytes: 8 };

  test.each(TRAPS)("%s is refused at once", async (_, make, message) => {
    make(at("trap"));
    await expect(readRegular(at("trap"), limits)).rejects.toThrow(message);
    expect(() => readRegularSync(at("trap"), limits)).toThrow(message);
    await expect(readRegularIfThere(at("trap"), limits)).rejects.toThrow(message);
  });

  test("a file is read whole, up to the limit and not beyond", async () => {
    writeFileSync(at("f"), "12345678");
    expect(await readRegular(at("f"), limits)).toEqual(new Uint8Array(utf8("12345678")));
    expect(readRegularSync(at("f"), limits)).toHaveLength(8);
    writeFileSync(at("f"), "123456789");
    await expect(readRegular(at("f"), limits)).rejects.toThrow("has 9 bytes, 8 are allowed");
  });

  test("a file that is not there is undefined where that may be", async () => {
    expect(await readRegularIfThere(at("none"), limits)).toBeUndefined();
    await expect(readRegular(at("none"), limits)).rejects.toMatchObject({ code: "io" });
  });

  test("a disk that does not answer is given up", async () => {
    const never = new Promise<never>(() => undefined);
    await expect(withDeadline("f", 1, never)).rejects.toMatchObject({
      code: "timeout",
    });
  });

  test.skipIf(!isRoot)("a secret must be ours, and ours alone", () => {
    writeFileSync(at("f"), "x", { mode: 0o600 });
    expect(readRegularSync(at("f"), { ...limits, secret: true })).toHaveLength(1);
    chmodSync(at("f"), 0o604);
    expect(() => readRegularSync(at("f"), { ...limits, secret: true })).toThrow(/read by others/);
    execFileSync("chown", ["65534", at("f")]);
    expect(() => readRegularSync(at("f"), { ...limits, secret: true })).toThrow(/belongs to user 65534/);
  });

  test("JSON is parsed strictly and by its schema", async () => {
    const schema = z.object({ a: z.object({ b: z.number() }) });
    writeFileSync(at("f"), '{"a":{"b":1},"c":2}');
    expect(await readJson(at("f"), schema, { maxBytes: 100 })).toEqual({ a: { b: 1 } });
    for (const [text, message] of [
      ['{"a":{"b":"1"}}', /not what it should be: a\.b/],
      ['{"a":{"b":1},"a":{"b":2}}', /duplicate key/],
      ["\ufeff{}", /not JSON/],
      ["{", /not JSON/],
    ] as const) {
      writeFileSync(at("f"), text);
      await expect(readJson(at("f"), schema, { maxBytes: 100 })).rejects.toThrow(message);
    }
  });
});

describe("writing a whole file", () => {
  test.each([
    ["later", (path: string, bytes: Uint8Array) => writeFileAtomically(path, bytes)],
    ["at once", async (path: string, bytes: Uint8Array) => writeFileAtomicallySync(path, bytes)],
  ])("replaces a link and leaves what it leads to (%s)", async (_, write) => {
    writeFileSync(at("mine"), "precious");
    symlinkSync(at("mine"), at("f"));
    symlinkSync(at("mine"), at("f.tmp"));
    await write(at("f"), utf8("new"));
    expect([textOf("mine"), textOf("f"), modeOf("f")]).toEqual(["precious", "new", 0o600]);
    expect(readdirSync(folder).sort()).toEqual(["f", "f.tmp", "mine"]);
  });

  test("the mode is the one asked for, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      await writeFileAtomically(at("f"), utf8("x"), { mode: 0o640 });
      await makeFolder(at("d"), 0o750);
      expect([modeOf("f"), modeOf("d")]).toEqual([0o640, 0o750]);
    } finally {
      process.umask(before);
    }
  });

  test("what fails leaves nothing behind", async () => {
    mkdirSync(at("f"));
    await expect(writeFileAtomically(at("f"), utf8("x"))).rejects.toThrow();
    expect(() => writeFileAtomicallySync(at("f"), utf8("x"))).toThrow();
    expect(readdirSync(folder)).toEqual(["f"]);
  });
});

describe("a file that grows", () => {
  test.each(TRAPS)("is not %s", (_, make, message) => {
    make(at("trap"));
    expect(() => GrowingFile.forAppending(at("trap"))).toThrow(message);
    expect(() => GrowingFile.forPlacing(at("trap"))).toThrow(message);
  });

  test("has no second name: a snapshot stays as it was", () => {
    writeFileSync(at("snapshot"), "old\n");
    linkSync(at("snapshot"), at("f"));
    const file = GrowingFile.forAppending(at("f"));
    file.append(utf8("new\n"));
    file.close();
    expect([textOf("snapshot"), textOf("f")]).toEqual(["old\n", "old\nnew\n"]);
  });

  test.skipIf(!isRoot)("is ours", () => {
    writeFileSync(at("f"), "");
    execFileSync("chown", ["65534", at("f")]);
    expect(() => GrowingFile.forAppending(at("f"))).toThrow(/belongs to user 65534/);
  });

  test.each([
    ["", ""],
    ["a\nb\n", "a\nb\n"],
    ["a\nb", "a\n"],
    ["torn", ""],
    [`a\n${"x".repeat(200_000)}`, "a\n"],
  ])("loses a torn last line alone (case %#)", (before, after) => {
    writeFileSync(at("f"), before);
    const file = GrowingFile.forAppending(at("f"));
    file.cutTornLine();
    file.append(utf8("next\n"));
    file.close();
    expect(textOf("f")).toBe(`${after}next\n`);
  });
});

describe("folders", () => {
  test("are their owner's alone, those on the way too", async () => {
    expect(await makeFolder(at("a/b"))).toBe(at("a"));
    expect([modeOf("a"), modeOf("a/b")]).toEqual([0o700, 0o700]);
    expect(await makeFolder(at("a/b"))).toBeUndefined();
  });

  test("are no links", async () => {
    mkdirSync(at("victim"));
    symlinkSync(at("victim"), at("d"));
    expect(() => hasFolder(at("d"))).toThrow(/is a link/);
    await expect(makeSubfolder(at("d"))).rejects.toThrow(/is a link/);
  });

  test("of a common file system promise everything", () => {
    expect(guaranteesOf(folder)).toEqual({ modes: true, owners: true, folderSync: true, links: true });
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("a file that somebody appends to is read as far as it was, at once or not", async () => {
  const path = join(folder, "growing");
  const line = "0123456789";
  writeFileSync(path, line);
  const program = `const fs = require("fs"); const end = Date.now() + 400;
    while (Date.now() < end) fs.appendFileSync(process.argv[1], "${line}");`;
  const writer = spawn(process.execPath, ["-e", program, path]);
  const ended = once(writer, "exit");
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  const options = { maxBytes: 2 ** 30, grows: true };
  let known = 0;
  while (!isOver) {
    for (const bytes of [readRegularSync(path, options), await readRegular(path, options)]) {
      expect(bytes.length).toBeGreaterThanOrEqual(known);
      known = bytes.length;
      // An append that crosses a page may be seen in part: what is read is a beginning, whole lines or not.
      const whole = line.repeat(Math.ceil(known / line.length));
      expect(Buffer.from(bytes).toString("latin1") === whole.slice(0, known)).toBe(true);
    }
  }
  expect(known).toBeGreaterThan(0);
});
