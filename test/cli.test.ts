/** The whole program, through the built command line. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesOf, SHORT, SMALL } from "./cli.fixture.js";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-cli-"));
});
afterAll(() => rm(root, { recursive: true }));

const fresh = (): Promise<string> => mkdtemp(join(root, "w-"));
describe("kasmina grow --data spirals", () => {
  let cwd: string;
  let lines: Record<string, unknown>[];
  beforeAll(async () => {
    cwd = await fresh();
    const { code, stdout } = await kasmina([...SHORT, "--seed", "5", "--run-dir", "run"], cwd);
    expect(code).toBe(0);
    lines = linesOf(stdout);
  });

  test("--json: every line of its kind, the summary last; inspect finds the same network", async () => {
    const summary = lines.at(-1) ?? {};
    expect(Object.keys(summary)).toEqual([
      "type",
      "ended",
      "run_id",
      "engine",
      "seed",
      "host",
      "data",
      "data_sha256",
      "epochs",
      "accuracy_host_alone",
      "accuracy",
      "task",
      "loss",
      "metrics",
      "metrics_host_alone",
      "params_host",
      "params_total",
      "flops_total",
      "flops_by_part",
      "steps_per_s",
      "wall_s",
      "seeds",
      "commands",
      "isolation",
    ]);
    expect(summary).toMatchObject({
      type: "summary",
      host: "resmlp",
      data: "spirals",
      accuracy_host_alone: null,
    });
    expect(new Set(lines.map((line) => line.type))).toEqual(new Set(["step", "epoch", "event", "summary"]));
    const folder = join(cwd, "run");
    expect(JSON.parse(await readFile(join(folder, "summary.json"), "utf8"))).toEqual(summary);
    const kept = linesOf(await readFile(join(folder, "events.ndjson"), "utf8"));
    // Observations, decisions and the like are the folder's alone.
    const printed = ["epoch", "event", "summary"];
    expect(kept.filter((line) => printed.includes(String(line.type)))).toEqual(
      lines.filter((line) => line.type !== "step"),
    );
    const inspected = await kasmina(["inspect", "run", "--json"], cwd);
    expect(inspected.code).toBe(0);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      run_id: summary.run_id,
      ended: "finished",
      host: "resmlp",
      params_host: summary.params_host,
      params_total: summary.params_total,
      checkpoint: { valid: true },
    });
  });

  test("a damaged checkpoint is named by inspect, exit code 1", async () => {
    await cp(join(cwd, "run"), join(cwd, "damaged"), { recursive: true });
    const dir = join(cwd, "damaged", "checkpoint");
    const { content } = JSON.parse(await readFile(join(dir, "checkpoint.json"), "utf8"));
    const name = `${content.tensors.sha256}.safetensors`; // not that of the checkpoint before
    const bytes = await readFile(join(dir, name));
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 4;
    await writeFile(join(dir, name), bytes);
    const { code, stderr } = await kasmina(["inspect", "damaged"], cwd);
    expect(code).toBe(1);
    expect(stderr).toBe(`kasmina: ${join(dir, name)} is not what its SHA-256 says\n`);
  });
});

describe("bad input is one clear line, and leaves nothing behind", () => {
  let data: string;
  beforeAll(async () => {
    data = await fresh();
    await mkdir(join(data, "idx"));
    const header = Buffer.from([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2]);
    await writeFile(join(data, "idx", "train-images-idx3-ubyte"), Buffer.concat([header, Buffer.alloc(7)]));
    await writeFile(join(data, "empty.csv"), "");
    await writeFile(join(data, "text.csv"), "x,label\nred,a\n1,b\n");
    await writeFile(join(data, "file"), "");
    await mkdir(join(data, "labels"));
    const images = Buffer.concat([header, Buffer.alloc(16)]);
    const labels = (last: number) => Buffer.from([0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, last]);
    for (const [part, last] of [
      ["train", 1],
      ["t10k", 9],
    ] as const) {
      await writeFile(join(data, "labels", `${part}-images-idx3-ubyte`), images);
      await writeFile(join(data, "labels", `${part}-labels-idx1-ubyte`), labels(last));
    }
  });

  test.each<[string, string[], number, RegExp]>([
    [
      "an unknown option",
      ["--epoch", "3"],
      2,
      /^unknown option '--epoch' \(Did you mean --epochs\?\); see kasmina grow --help$/,
    ],
    [
      "a value that is no number",
      ["--epochs", "many"],
      2,
      /^--epochs must be a whole number in 1..100000, got "many"; see/,
    ],
    ["an unknown host", ["--host", "vgg"], 2, /^--host must be one of resmlp, resconv, .*got "vgg"; see/],
    ["an unknown slot", ["--slots", "attic"], 2, /slot.*attic.*block1/],
    ["unknown data", ["--data", "mnst"], 2, /^unknown data "mnst": use one of mnist, /],
    ["a missing file", ["--data", "idx:nowhere"], 2, /^missing file nowhere\/train-images-idx3-ubyte/],
    [
      "a truncated file",
      ["--data", "idx:idx"],
      2,
      /^idx\/train-images-idx3-ubyte is truncated: .* needs 32 bytes, the file has 23$/,
    ],
    [
      "a label outside the classes",
      ["--data", "idx:labels"],
      2,
      /^idx:labels, test: label 9 of row 3 is outside the 2 classes 0..1$/,
    ],
    ["an empty table", ["--data", "csv:empty.csv"], 2, /^csv:empty.csv is empty$/],
    ["a text among the numbers", ["--data", "csv:text.csv"], 2, /row 1, column "x": "red" is not a number$/],
    [
      "a batch larger than the data",
      ["--batch", "5000"],
      2,
      /^batch 5000 is larger than the 1800 training rows of spirals$/,
    ],
    ["a host that cannot take the data", ["--host", "resconv"], 2, /resconv.*\[2\]/],
    [
      "a run folder that cannot be made",
      ["--run-dir", "/proc/run"],
      2,
      /^run folder \/proc\/run cannot be made/,
    ],
    [
      "a run folder below a file",
      ["--run-dir", "file/run"],
      2,
      /^run folder .*file\/run cannot be made: a part of its path is a file$/,
    ],
  ])("%s", async (_, args, code, message) => {
    const before = await readdir(data, { recursive: true });
    const finished = await kasmina(["grow", "--quiet", ...args], data);
    expect(finished.stderr).toMatch(/^kasmina: [^\n]+\n$/);
    expect(finished.stderr.slice("kasmina: ".length).trimEnd()).toMatch(message);
    expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code, stdout: "" });
    expect(await readdir(data, { recursive: true })).toEqual(before);
  });

  test("a run folder that holds a run is refused and left alone", async () => {
    const cwd = await fresh();
    await writeFile(join(cwd, "events.ndjson"), "mine\n");
    const { code, stderr } = await kasmina([...SMALL, "--quiet", "--run-dir", "."], cwd);
    expect(code).toBe(2);
    expect(stderr).toMatch(/already holds a run \(events.ndjson\)\n$/);
    expect(await readdir(cwd)).toEqual(["events.ndjson"]);
  });
});
