/**
 * Folders, catalogs and artifacts from somebody who means harm. Whatever a command is asked to do with one, it ends soon, says in a line
 * what is wrong where something is, and neither reads, writes nor deletes anything that it was not asked for.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { kasmina } from "./kasmina.js";
import { someOf } from "./support/full-counts.js";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;
const HAS_STRACE = existsSync("/usr/bin/strace");
/** A command that waits for ever is ended then. */
const PATIENCE_S = 60;
const SECRET = "c,label\nsecret words,1\n";

let root: string;
/** A run that ended, as it was written. */
let sound: string;
/** Somebody else's files: nobody was asked to touch them. */
let bait: string;
/** The folder as it was received. */
let folder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-hostile-"));
  sound = join(root, "sound");
  bait = join(root, "bait");
  const grown = await kasmina(
    [
      "grow",
      "--data",
      "spirals",
      "--engine",
      "wasm",
      "--epochs",
      "3",
      "--policy",
      "epoch:1",
      "--run-dir",
      sound,
    ],
    root,
  );
  expect(grown.code, grown.stderr).toBe(0);
});
afterAll(() => rm(root, { recursive: true }));

beforeEach(async () => {
  folder = join(root, "received");
  for (const path of [folder, bait, join(root, "out"), join(root, "catalog")])
    await rm(path, { recursive: true, force: true });
  await cp(sound, folder, { recursive: true });
  await mkdir(join(bait, "deeper"), { recursive: true });
  await writeFile(join(bait, "secret.csv"), SECRET);
  await writeFile(join(bait, "deeper", "kept"), "kept");
  await writeFile(
    join(bait, "code.mjs"),
    `await (await import("node:fs/promises")).writeFile(${JSON.stringify(join(bait, "ran"))}, "");`,
  );
});

const inFolder = (...names: string[]) => join(folder, ...names);
const baited = (...names: string[]) => join(bait, ...names);

async function replaceByLink(path: string, target: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await symlink(target, path);
}

async function replaceByPipe(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await promisify(execFile)("mkfifo", [path]);
}

async function changeJson(path: string, change: (value: Record<string, unknown>) => unknown): Promise<void> {
  const value = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  await writeFile(path, JSON.stringify(change(value)));
}

const withConfig = (changes: object) => (about: Record<string, unknown>) => ({
  ...about,
  config: { ...(about.config as object), ...changes },
});

/** The one artifact's folder in the catalog of the run. */
async function artifact(): Promise<string> {
  const [blueprint] = (await readdir(inFolder("catalog"))).filter((name) => !name.startsWith("."));
  const [digest] = await readdir(inFolder("catalog", String(blueprint)));
  return inFolder("catalog", String(blueprint), String(digest));
}

const HOSTILITIES: readonly (readonly [string, () => Promise<unknown>])[] = [
  ...["run.json", "summary.json", "events.ndjson", "losses.f32", "commands.journal", "control.keys"].flatMap(
    (file) =>
      [
        [`${file} is a link`, () => replaceByLink(inFolder(file), baited("secret.csv"))],
        [`${file} is a pipe`, () => replaceByPipe(inFolder(file))],
      ] as const,
  ),
  ["checkpoint/ is a link", () => replaceByLink(inFolder("checkpoint"), bait)],
  [
    "checkpoint.json is a link",
    () => replaceByLink(inFolder("checkpoint", "checkpoint.json"), baited("secret.csv")),
  ],
  ["checkpoint.json is a pipe", () => replaceByPipe(inFolder("checkpoint", "checkpoint.json"))],
  [
    "checkpoint.json claims a terabyte",
    () =>
      changeJson(inFolder("checkpoint", "checkpoint.json"), (file) => ({
        ...file,
        content: { ...(file.content as object), tensors: { sha256: "a".repeat(64), bytes: 1e12 } },
      })),
  ],
  [
    "checkpoint.json points outside",
    () =>
      changeJson(inFolder("checkpoint", "checkpoint.json"), (file) => ({
        ...file,
        content: { ...(file.content as object), tensors: { sha256: "../../bait/secret", bytes: 24 } },
      })),
  ],
  ["catalog/ is a link", () => replaceByLink(inFolder("catalog"), bait)],
  ["catalog/.staging is a link", () => replaceByLink(inFolder("catalog", ".staging"), bait)],
  [
    "a manifest is a link",
    async () => replaceByLink(join(await artifact(), "manifest.json"), baited("secret.csv")),
  ],
  ["weights are a pipe", async () => replaceByPipe(join(await artifact(), "weights.safetensors"))],
  [
    "a signature is a link",
    async () => replaceByLink(join(await artifact(), "signature"), baited("secret.csv")),
  ],
  ["a signature is a pipe", async () => replaceByPipe(join(await artifact(), "signature"))],
  [
    "a signature is large",
    async () => writeFile(join(await artifact(), "signature"), new Uint8Array(1_000_000)),
  ],
  ["an artifact's folder is a link", async () => replaceByLink(await artifact(), bait)],
  ["report.html is a link", () => replaceByLink(inFolder("report.html"), baited("secret.csv"))],
  ["report.html.tmp is a link", () => replaceByLink(inFolder("report.html.tmp"), baited("secret.csv"))],
  [
    "run.json names code",
    () => changeJson(inFolder("run.json"), withConfig({ host: `module:${baited("code.mjs")}#host` })),
  ],
  [
    "run.json names a blueprint's code",
    () => changeJson(inFolder("run.json"), withConfig({ blueprints: [`module:${baited("code.mjs")}#one`] })),
  ],
  [
    "run.json names data",
    () => changeJson(inFolder("run.json"), withConfig({ data: `csv:${baited("secret.csv")}?label=label` })),
  ],
  [
    "run.json names a model",
    () => changeJson(inFolder("run.json"), withConfig({ host: `onnx:${baited("secret.csv")}` })),
  ],
  ["run.json names a catalog", () => changeJson(inFolder("run.json"), withConfig({ catalog: bait }))],
  ["run.json names a teacher", () => changeJson(inFolder("run.json"), withConfig({ teacher: bait }))],
  [
    "run.json names a parent, which is a link",
    async () => {
      await replaceByLink(inFolder("parent"), bait);
      await changeJson(inFolder("run.json"), (about) => ({
        ...withConfig({ from: bait })(about),
        ...{ parent: "a".repeat(64), parent_run_id: "x" },
      }));
    },
  ],
  ["run.json names a run folder", () => changeJson(inFolder("run.json"), withConfig({ runDir: bait }))],
  [
    "run.json names another run",
    () => changeJson(inFolder("run.json"), (about) => ({ ...about, run_id: "../bait" })),
  ],
  [
    "run.json holds markup",
    () =>
      changeJson(inFolder("run.json"), (about) => ({
        ...about,
        run_id: "<script>alert(1)</script>\u001b[2J",
      })),
  ],
  ["summary.json is deep", () => writeFile(inFolder("summary.json"), "[".repeat(1_000_000))],
  [
    "control.json points elsewhere",
    () =>
      writeFile(
        inFolder("control.json"),
        JSON.stringify({ run_id: "x", pid: 1, socket: baited("secret.csv") }),
      ),
  ],
];

const COMMANDS: readonly (readonly string[])[] = [
  ["inspect", "received"],
  ["report", "received"],
  ["export", "received", "--onnx", "out"],
  ["predict", "received", "--data", "spirals"],
  ["evaluate", "received", "--data", "spirals"],
  ["replay", "received"],
  ["status", "received"],
  ["grow", "--resume", "received", "--epochs", "4"],
  ["grow", "--resume", "received", "--adopt"],
  ["grow", "--from", "received", "--engine", "wasm", "--epochs", "1", "--run-dir", "out"],
  ["catalog", "list", "--catalog", "received/catalog"],
  ["catalog", "verify", "--catalog", "received/catalog"],
  ["catalog", "add", "ARTIFACT", "--catalog", "catalog"],
  ["catalog", "add", "ARTIFACT", "--catalog", "catalog", "--require-signature"],
  ["catalog", "harvest", "received", "seed-1", "--catalog", "catalog"],
];

interface Watched {
  readonly code: number | null;
  readonly output: string;
  /** Every file that was opened, by the path that it really has. */
  readonly opened: readonly string[];
}

async function watched(args: readonly string[]): Promise<Watched> {
  const trace = join(root, "trace");
  const strace = [
    "strace",
    "-f",
    "-y",
    "-qq",
    "-e",
    "trace=openat,open,unlink,unlinkat,rename,renameat2,mkdir",
    "-o",
    trace,
  ];
  const line = [
    "timeout",
    "-s",
    "KILL",
    String(PATIENCE_S),
    ...(HAS_STRACE ? strace : []),
    process.execPath,
    MAIN,
    ...args,
  ];
  const child = spawn(line[0] as string, line.slice(1), {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const calls = HAS_STRACE ? (await readFile(trace, "utf8")).split("\n") : [];
  return { code, output, opened: calls.flatMap((call) => /= \d+<([^>]+)>$/.exec(call)?.[1] ?? []) };
}

/** What lies there, all of it. */
async function contentOf(path: string): Promise<unknown> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map(async (name) => [name, (await lstat(name)).isFile() ? await readFile(name, "utf8") : ""]),
  );
}

/** Whoever names a link asks for what it points to. */
function isAskedFor(hostility: string, args: readonly string[]): boolean {
  return hostility === "catalog/ is a link" && args.includes("received/catalog");
}

interface Case {
  readonly hostility: string;
  readonly makeHostile: () => Promise<unknown>;
  readonly args: readonly string[];
}

const CASES = HOSTILITIES.flatMap(([hostility, makeHostile]) =>
  COMMANDS.filter((args) => !isAskedFor(hostility, args)).map(
    (args): Case => ({ hostility, makeHostile, args }),
  ),
);

describe("a folder in which", () => {
  test.each(
    someOf(CASES, 4).map((one) => [one.hostility, one.args.slice(0, 2).join(" "), one] as const),
  )("%s: %s", async (_, name, { makeHostile, args }) => {
    const path = args.includes("ARTIFACT") ? await artifact() : "";
    await makeHostile();
    const before = await contentOf(bait);
    const others = (await readdir(root)).sort();
    const { code, output, opened } = await watched(args.map((arg) => (arg === "ARTIFACT" ? path : arg)));
    expect(await contentOf(bait), output).toEqual(before);
    expect(
      opened.filter((file) => file.startsWith(`${bait}/`)),
      output,
    ).toEqual([]);
    expect(output).not.toContain("secret words");
    expect(output).not.toMatch(/\n {4}at /);
    expect(output).not.toContain("\u001b");
    expect(code, `${name}: ${output}`).not.toBe(137);
    expect([0, 1, 2]).toContain(code);
    if (code !== 0)
      expect(
        output
          .trim()
          .split("\n")
          .filter((line) => /^(kasmina|error|BAD)/i.test(line)).length,
        output,
      ).toBeGreaterThan(0);
    const made = (await readdir(root)).filter((file) => !others.includes(file) && file !== "trace");
    expect(
      made.filter((file) => !["out", "catalog"].includes(basename(file)) && !/^out\./.test(file)),
    ).toEqual([]);
  });
});
