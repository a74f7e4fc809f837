/** Holds the one door to the disk: outside `base/disk/` no source file opens anything for writing, makes or removes it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const DOOR = /^src\/base\/disk\//;
const TESTING = /\.(test|long|conformance|fixture)\.ts$/;
/** What `node:fs` has to look and to read. Everything else changes something, or can. */
const READING =
  /^(read|readSync|readFile|readFileSync|readdir|readdirSync|readlink|readlinkSync|stat|statSync|lstat|lstatSync|realpath|realpathSync|existsSync|constants|createReadStream|type .+|Stats|access|accessSync|watch)$/;

const root = new URL("..", import.meta.url).pathname;

/** What a source text takes from `node:fs`; the whole module counts as everything. */
function takenFromFs(text: string): string[] {
  const lists = [
    ...text.matchAll(/import\s*(?:type\s*)?\{([^}]*)\}\s*from\s*"(?:node:)?fs(?:\/promises)?"/g),
  ];
  const names = lists.flatMap(([, list = ""]) => list.split(",").map((name) => name.trim()));
  const whole =
    /import\s+(?:\*\s+as\s+)?\w+\s+from\s*"(?:node:)?fs|(?<!\}\s*=\s*)require\("(?:node:)?fs|(?:const|let)\s+(\w+)\s*=\s*await import\("(?:node:)?fs/;
  const dynamic = [
    ...text.matchAll(/\{([^}]*)\}\s*=\s*(?:await import|require)\("(?:node:)?fs(?:\/promises)?"\)/g),
  ];
  const later = dynamic.flatMap(([, list = ""]) => list.split(",").map((name) => name.trim()));
  return [...names, ...later, ...(whole.test(text) ? ["*"] : [])].filter((name) => name !== "");
}

test("no source file but the door opens anything for writing", () => {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((name) => join("src", name))
    .filter((name) => name.endsWith(".ts") && !TESTING.test(name) && !DOOR.test(name));
  const offenders = files.flatMap((file) =>
    takenFromFs(readFileSync(join(root, file), "utf8"))
      .filter((name) => !READING.test(name.split(" as ")[0] ?? ""))
      .map((name) => `${file}: ${name}`),
  );
  expect(offenders).toEqual([]);
});

test.each([
  ['import { readFileSync, writeFileSync } from "node:fs";', ["readFileSync", "writeFileSync"]],
  ['import {\n  open,\n} from "fs/promises";', ["open"]],
  ['import fs from "node:fs";', ["*"]],
  ['import * as fs from "node:fs/promises";', ["*"]],
  ['const { rm } = await import("node:fs/promises");', ["rm"]],
  ['const fs = require("node:fs");', ["*"]],
  ['run(require("node:fs"));', ["*"]],
  ['const { readSync, writeSync } = require("node:fs");', ["readSync", "writeSync"]],
])("such a use would be found: %s", (text, names) => {
  expect(takenFromFs(text)).toEqual(names);
});
