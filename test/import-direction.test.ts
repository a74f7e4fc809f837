import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";

/** Which rooms a room may import, beside itself (DESIGN §3). */
const ROOMS = [
  "base",
  "contracts",
  "engine",
  "nn",
  "kasmina",
  "tolaria",
  "tamiyo",
  "oona",
  "catalog",
  "data",
  "weatherlight",
  "cli",
];
const COMMON = ["base", "contracts"];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contracts: ["base"],
  engine: COMMON,
  nn: [...COMMON, "engine"],
  kasmina: [...COMMON, "engine", "nn"],
  tolaria: [...COMMON, "engine", "nn", "kasmina"],
  tamiyo: COMMON,
  oona: COMMON,
  catalog: [...COMMON, "engine", "nn"],
  data: COMMON,
  weatherlight: ROOMS.filter((room) => room !== "cli"),
  cli: ROOMS,
};

/** Files in rooms that run in a browser which may use Node all the same: each stands in a file of its own. */
const NODE_ONLY =
  /(^engine\/native|^kasmina\/.*\.node\.ts$|^tolaria\/.*\.node\.ts$|^base\/.*\.node\.ts$|^contracts\/.*\.node\.ts$)/;
const BROWSER_ROOMS = ["base", "contracts", "engine", "nn", "kasmina", "tolaria", "tamiyo"];

const src = new URL("../src", import.meta.url).pathname;
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => relative(src, join(src, name)));

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
}

function roomOf(path: string): string {
  return path.includes("/") ? (path.split("/")[0] ?? "") : "";
}

describe("imports point right and never back", () => {
  test.each(files)("%s", (file) => {
    const room = roomOf(file);
    if (room === "") return;
    for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
      const target = roomOf(join(file, "..", specifier));
      expect([room, ...(MAY_IMPORT[room] ?? [])], `${file} imports ${specifier}`).toContain(target);
    }
  });

  test("rooms for the browser use no Node API outside files of their own", () => {
    const offenders = files
      .filter(
        (file) => BROWSER_ROOMS.includes(roomOf(file)) || file === "oona/memory.ts" || file === "oona/bus.ts",
      )
      .filter((file) => !NODE_ONLY.test(file) && !/\.(test|long|conformance|fixture)\.ts$/.test(file))
      .filter((file) =>
        importsOf(file).some((name) => name.startsWith("node:") || name === "onnxruntime-node"),
      );
    expect(offenders).toEqual([]);
  });

  test("every file stands in a room that the design knows", () => {
    expect([...new Set(files.map(roomOf))].filter((room) => room !== "" && !ROOMS.includes(room))).toEqual(
      [],
    );
  });
});
