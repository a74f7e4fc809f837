import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GrowingFile } from "../../../base/disk/index.node.js";
import { findTool } from "../../../base/tools.fixture.js";
import type { LogPoint } from "./log-points.js";
import { crc32c, TensorboardTarget } from "./tensorboard.node.js";

const AT = 1_440_183_447_000;
const READER = new URL("./read-events.fixture.py", import.meta.url).pathname;
const python = findTool("python", ["python3"]);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kasmina-tensorboard-"));
});
afterEach(() => rm(folder, { recursive: true }));

const run = (firstStep = 0) => ({
  folder,
  runId: "run-1",
  config: { data: "spirals" },
  startedMs: AT,
  firstStep,
});

const scalar = (step: number, value: number): LogPoint => ({
  kind: "scalar",
  tag: "loss/train",
  step,
  atMs: AT,
  value,
});

function fileIn(path: string): string {
  const [name = "", ...others] = readdirSync(path).filter((one) => one.includes("tfevents"));
  expect(others).toEqual([]);
  return join(path, name);
}

/** As a program reads it that shares nothing with the writer. */
function readBack(file: string): Record<string, unknown>[] {
  const lines = execFileSync(python ?? "", [READER, file], { encoding: "utf8" });
  return lines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("the checksum is that of RFC 3720, B.4", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

test.skipIf(!python)("an independent reader finds every point, and the checksums right", async () => {
  const target = new TensorboardTarget(undefined);
  await target.open(run());
  await target.write([
    scalar(2, 0.5),
    { kind: "note", tag: "events/seed-1", step: 300, atMs: AT + 1_500, lines: ["<b>culled</b>\n# x", "Ω"] },
    scalar(5_000_000_000, Number.NaN),
    scalar(4, 1e300),
  ]);
  await target.close();
  expect(readBack(fileIn(folder))).toMatchInlineSnapshot(`
    [
      {
        "file_version": "brain.Event:2",
        "step": 0,
        "wall_time": 1440183447,
      },
      {
        "session_log": {
          "status": 1,
        },
        "step": 0,
        "wall_time": 1440183447,
      },
      {
        "step": 0,
        "summary": [
          {
            "plugin": "text",
            "tag": "configuration",
            "text": "    {
          "data": "spirals"
        }",
          },
        ],
        "wall_time": 1440183447,
      },
      {
        "step": 2,
        "summary": [
          {
            "simple_value": 0.5,
            "tag": "loss/train",
          },
        ],
        "wall_time": 1440183447,
      },
      {
        "step": 300,
        "summary": [
          {
            "plugin": "text",
            "tag": "events/seed-1",
            "text": "    <b>culled</b> # x
        Ω",
          },
        ],
        "wall_time": 1440183448.5,
      },
      {
        "step": 5000000000,
        "summary": [
          {
            "simple_value": "nan",
            "tag": "loss/train",
          },
        ],
        "wall_time": 1440183447,
      },
      {
        "step": 4,
        "summary": [
          {
            "simple_value": "inf",
            "tag": "loss/train",
          },
        ],
        "wall_time": 1440183447,
      },
    ]
  `);
  expect(statSync(fileIn(folder)).mode & 0o777).toBe(0o600);
});

test.skipIf(!python)("a run that is resumed says from which step on earlier files do not count", async () => {
  const elsewhere = join(folder, "logs");
  const target = new TensorboardTarget(elsewhere);
  await target.open(run(40));
  await target.close();
  expect(readBack(fileIn(join(elsewhere, "run-1")))[1]).toEqual({
    wall_time: AT / 1_000,
    step: 40,
    session_log: { status: 1 },
  });
});

test("a full disk leaves whole records behind", async () => {
  const target = new TensorboardTarget(undefined);
  await target.open(run());
  await target.write([scalar(1, 1)]);
  const before = readFileSync(fileIn(folder));
  const { append } = GrowingFile.prototype;
  const full = vi.spyOn(GrowingFile.prototype, "append").mockImplementation(function (
    this: GrowingFile,
    bytes: Uint8Array,
  ) {
    append.call(this, bytes.subarray(0, 20));
    throw new Error("no space left on device");
  });
  try {
    await expect(target.write([scalar(2, 1)])).rejects.toThrow("no space left");
  } finally {
    full.mockRestore();
  }
  expect(readFileSync(fileIn(folder))).toEqual(before);
});
