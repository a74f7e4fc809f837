/** An export is a promise: the index of a room lists what others use, and nothing else. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const namesIn = (folder: string, ends: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ends))
    .map((name) => join(folder, name));

const sources = ["src", "test", "bench", "examples"].flatMap((folder) => namesIn(folder, ".ts"));
const indexes = sources.filter((file) => /^src\/\w+\/index(\.node)?\.ts$/.test(file));
/** Names that the documentation tells of are for people. */
const documented = ["README.md", ...namesIn("docs", ".md")].map(read).join("\n");

/** The names that an export or import clause lists, as they are called inside the file that it names. */
function listed(clause: string, outside: boolean): string[] {
  return clause
    .replace(/\/\/.*$/gm, "")
    .split(",")
    .map((part) => part.trim().replace(/^type\s+/, ""))
    .map((part) => (part.split(/\s+as\s+/).at(outside ? -1 : 0) ?? "").trim())
    .filter((name) => name !== "");
}

/** Values alone: a type goes with the function that takes or gives it. */
function exportsOf(index: string): string[] {
  return [...read(index).matchAll(/export \{([^}]*)\}/g)].flatMap(([, clause = ""]) =>
    listed(clause.replace(/\btype\s+\w+(\s+as\s+\w+)?\s*,?/g, ""), true),
  );
}

/** What each index is asked for, by whoever is not in its room. */
const used = new Map<string, Set<string>>(indexes.map((index) => [index, new Set()]));
for (const file of sources) {
  const text = read(file);
  const statements = text.matchAll(/(?:import|export) (?:type )?\{([^}]*)\} from "([^"]+)"/g);
  for (const [, clause = "", from = ""] of statements) {
    const index = from.startsWith(".")
      ? join(dirname(file), from).replace(/\.js$/, ".ts")
      : from.replace(
          /^kasmina\/(\w+)(\/node)?$/,
          (_, room, node) => `src/${room}/index${node ? ".node" : ""}.ts`,
        );
    if (dirname(file).startsWith(dirname(index)) && file.startsWith("src/")) continue;
    for (const name of listed(clause, false)) used.get(index)?.add(name);
  }
  // A namespace, or an import at run time, may take anything that is named beside it.
  const whole = text.matchAll(/(?:\* as \w+ from|import\(|typeof import\()[^"]*"([^"]+)"/g);
  for (const [, from = ""] of whole)
    for (const index of indexes)
      if (from.includes(dirname(index).slice("src/".length)) && from.includes("index"))
        for (const name of exportsOf(index)) if (text.includes(name)) used.get(index)?.add(name);
}

/** Hosts from ONNX files: `grow()` does not take them yet. Whoever wires them empties this list. */
const AWAITED = ["grownOnnx", "onnxFileDigest", "openOnnxHost", "HEAD_CHOICES", "TRAIN_CHOICES"];

test("every name that a room exports is used outside of it, or told of in the docs", () => {
  const idle = indexes.flatMap((index) =>
    exportsOf(index)
      .filter((name) => !used.get(index)?.has(name) && !new RegExp(`\\b${name}\\b`).test(documented))
      .map((name) => `${index}: ${name}`),
  );
  expect(idle.filter((name) => !AWAITED.some((awaited) => name.endsWith(` ${awaited}`)))).toEqual([]);
});
