/** Rows read ahead: in the order in which they were asked for, and never less than all of them. */
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ScratchFile } from "../base/disk/index.node.js";
import { ThreadRowQueue } from "./row-queue.node.js";

const WIDTH = 3;
const ROWS = 40;
let file: ScratchFile;
let queue: ThreadRowQueue;
beforeEach(() => {
  file = ScratchFile.create(tmpdir());
  const values = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => i);
  file.write(8, new Uint8Array(values.buffer));
  queue = new ThreadRowQueue({ descriptor: file.descriptor, position: 8, width: WIDTH, name: "t" }, 2);
});
afterEach(async () => {
  await queue.close();
  file.close();
});

const rowValues = (row: number): number[] => [row * WIDTH, row * WIDTH + 1, row * WIDTH + 2];

test("batches come in the order in which they were asked for, as often as there is room", () => {
  const asked = Array.from({ length: 3 * queue.depth }, (_, i) => [(7 * i) % ROWS, (11 * i + 5) % ROWS]);
  asked.forEach((rows, i) => {
    queue.ask(Int32Array.from(rows));
    if (i < queue.depth - 1) return;
    const oldest = asked[i - queue.depth + 1] ?? [];
    expect(Array.from(queue.take())).toEqual(oldest.flatMap(rowValues));
  });
});

test("what was asked for is forgotten when somebody begins anew", () => {
  for (const row of [1, 2, 3]) queue.ask(Int32Array.of(row, row));
  queue.clear();
  queue.ask(Int32Array.of(20, 30));
  expect(Array.from(queue.take())).toEqual([...rowValues(20), ...rowValues(30)]);
});

test("no more is taken than was asked for, and no more asked for than there is room", () => {
  expect(() => queue.take()).toThrow(RangeError);
  for (let i = 0; i < queue.depth; i++) queue.ask(Int32Array.of(0, 1));
  expect(() => queue.ask(Int32Array.of(0, 1))).toThrow(RangeError);
});

test("a row that cannot be read is an error, not zeros", () => {
  queue.ask(Int32Array.of(0, ROWS));
  expect(() => queue.take()).toThrow("t: rows that were written to disk cannot be read");
});

test("a scratch file says where it lost what was written to it", () => {
  expect(() => file.read(8, new Uint8Array(ROWS * WIDTH * 4 + 1))).toThrow(/lost what was written to it/);
});
