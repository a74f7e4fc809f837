/** Holds the picture of rooms: imports point right and never back, and no files go round in a circle. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const COMMON = ["base", "contracts"];
/** Which rooms a room may import, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contracts: ["base"],
  engine: COMMON,
  nn: [...COMMON, "engine"],
  network: [...COMMON, "engine", "nn"],
  kasmina: COMMON,
  tolaria: [...COMMON, "engine", "nn", "network", "kasmina"],
  tamiyo: COMMON,
  oona: COMMON,
  catalog: [...COMMON, "engine", "nn"],
  data: COMMON,
  weatherlight: [
    ...COMMON,
    "engine",
    "nn",
    "network",
    "kasmina",
    "tolaria",
    "tamiyo",
    "oona",
    "catalog",
    "data",
  ],
  cli: [...COMMON, "data", "engine", "kasmina", "catalog", "nn", "weatherlight"],
};

/** Rooms that run in a browser: a file of theirs that uses Node is a `*.node.ts`, or stands in `engine/native/`. */
const BROWSER_ROOMS = ["base", "contracts", "engine", "nn", "network", "kasmina", "tolaria", "tamiyo"];
const NODE_ONLY = /^src\/engine\/native\/|\.node\.ts$/;
const TESTING = /\.(test|long|conformance|fixture)\.ts$/;

const root = new URL("..", import.meta.url).pathname;
const files = ["src", "bench", "test", "examples"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)),
);
const BROWSER_FILES = [
  "src/index.ts",
  ...["bus", "memory", "memory-group", "subscribers"].map((name) => `src/oona/${name}.ts`),
  ...files.filter((file) => /^src\/weatherlight\/grow\//.test(file)),
];
const specifiers = new Map(
  files.map((file) => {
    const text = readFileSync(join(root, file), "utf8");
    return [file, [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, name = ""]) => name)];
  }),
);
const NAMED_IMPORTS = namedImports();
const imports = new Map(files.map((file) => [file, importsOf(file)]));

/** Sources of what package.json names by `#`. */
function namedImports(): ReadonlyMap<string, string> {
  const text = readFileSync(join(root, "package.json"), "utf8");
  const { imports: named } = JSON.parse(text) as { imports: Record<string, { default: string }> };
  return new Map(
    Object.entries(named).map(([name, target]) => [name, target.default.replace("./dist/", "src/")]),
  );
}

/** Files of this repository that a file imports, types included; what package.json names by `#` is what Node loads. */
function importsOf(file: string): string[] {
  return (specifiers.get(file) ?? [])
    .flatMap((name) => (name.startsWith(".") ? [join(file, "..", name)] : (NAMED_IMPORTS.get(name) ?? [])))
    .map((target) => target.replace(/\.js$/, ".ts"))
    .filter((target) => specifiers.has(target));
}

/** The room of a source file; undefined for the root export and what is no source. */
function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

/** Groups of files that import each other in a circle (Tarjan 1972, strongly connected components). */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const lower = (file: string, to = Number.POSITIVE_INFINITY): void => {
    lowest.set(file, Math.min(lowest.get(file) ?? to, to));
  };
  const visit = (file: string): void => {
    index.set(file, index.size);
    lower(file, index.get(file));
    open.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!index.has(target)) {
        visit(target);
        lower(file, lowest.get(target));
      } else if (open.includes(target)) lower(file, index.get(target));
    }
    if (lowest.get(file) !== index.get(file)) return;
    const circle = open.splice(open.indexOf(file));
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return circles;
}

/** Everything that a file needs, directly or not. */
function reachableFrom(starts: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const queue = [...starts];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    queue.push(...(imports.get(file) ?? []));
  }
  return reached;
}

describe("imports", () => {
  test("point right and never back", () => {
    const upward = files.flatMap((file) => {
      const room = roomOf(file);
      if (room === undefined) return [];
      const allowed = [room, ...(MAY_IMPORT[room] ?? [])];
      return (imports.get(file) ?? [])
        .filter((target) => !allowed.includes(roomOf(target) ?? ""))
        .map((target) => `${file} → ${target}`);
    });
    expect(upward).toEqual([]);
  });

  test("go round in no circle, tests and measurements included", () => {
    expect(circlesOf(imports)).toEqual([]);
  });

  test("a circle would be found", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b"]],
      ["d", ["a", "d"]],
    ]);
    expect(circlesOf(graph)).toEqual([["b", "c"]]);
  });

  test("lead from kasmina/ and its tests to no engine, no network and no layers", () => {
    const control = files.filter((file) => roomOf(file) === "kasmina");
    const rooms = new Set([...reachableFrom(control)].map(roomOf));
    expect([...rooms].sort()).toEqual(["base", "contracts", "kasmina"]);
    const packages = control
      .flatMap((file) => specifiers.get(file) ?? [])
      .filter((name) => !name.startsWith(".") && !name.startsWith("node:"));
    expect(packages.filter((name) => /jax|onnx/.test(name))).toEqual([]);
  });

  test("of Node stand in files of their own where a room is for the browser too", () => {
    const offenders = files
      .filter((file) => BROWSER_ROOMS.includes(roomOf(file) ?? "") || BROWSER_FILES.includes(file))
      .filter((file) => !NODE_ONLY.test(file) && !TESTING.test(file))
      .filter((file) =>
        (specifiers.get(file) ?? []).some((name) => name.startsWith("node:") || name === "onnxruntime-node"),
      );
    expect(offenders).toEqual([]);
  });

  test("know every room", () => {
    const rooms = new Set(files.flatMap((file) => roomOf(file) ?? []));
    expect([...rooms].sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });
});
