/**
 * Parquet files, read by hyparquet, which whoever has such files installs. It decodes in a thread of its own: of a damaged file it may go
 * round for ever, or take memory without end, and neither is to be ours.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { KasminaError, messageOf } from "../base/errors.js";
import { deferred } from "../base/promises.js";
import { readPlain } from "./read-file.node.js";
import { tableOf } from "./records.js";
import type { Table } from "./table.js";

const INSTALL = "npm install hyparquet";
/** They are read whole. */
const MAX_BYTES = 2 ** 31;
/** What the thread may hold of objects. */
const MAX_HEAP_MIB = 8_192;
/** How long one column of a row group may take: at once, a byte of it, and a row. */
const PATIENCE_MS = 800;
const PATIENCE_MS_A_BYTE = 0.01;
const PATIENCE_MS_A_ROW = 0.001;

/** @throws KasminaError `unavailable` without hyparquet, `invalid_data` for a file that is none, or has columns that are no plain values */
export async function readParquet(path: string, name: string): Promise<Table> {
  const hyparquet = place();
  const bytes = await readPlain(path, () => MAX_BYTES);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  try {
    return tableOf(await recordsIn(file, hyparquet), name);
  } catch (error) {
    if (error instanceof KasminaError) throw error;
    throw new KasminaError(
      "invalid_data",
      `${name} is no Parquet file that can be read: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** Where it is installed. */
function place(): string {
  try {
    return pathToFileURL(createRequire(import.meta.url).resolve("hyparquet")).href;
  } catch (error) {
    throw new KasminaError("unavailable", `Parquet files need the optional package hyparquet: ${INSTALL}`, {
      cause: error,
    });
  }
}

interface Column {
  readonly name: string;
  readonly cells: readonly unknown[];
}

/** What the thread says: what it is about to decode, and at last the columns of each row group, or what is wrong. */
type Said =
  | { readonly bytes: number; readonly rows: number }
  | { readonly groups: readonly (readonly Column[])[] }
  | { readonly problem: string };

/**
 * What runs in the thread, as text: it may use nothing from outside itself. One column of one row group at a time: hyparquet reads
 * those that it is given at once, and of several that are damaged the errors of all but the first would be nobody's and end the process.
 */
async function decode(
  { parquetMetadata, parquetReadObjects, parquetSchema }: typeof import("hyparquet"),
  file: ArrayBuffer,
  tell: (ahead: { bytes: number; rows: number }) => void,
): Promise<{ name: string; cells: unknown[] }[][]> {
  const metadata = parquetMetadata(file);
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  const groups: { name: string; cells: unknown[] }[][] = [];
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    const rowEnd = rowStart + rows;
    const columns: { name: string; cells: unknown[] }[] = [];
    for (const [at, name] of names.entries()) {
      tell({ bytes: Number(group.columns[at]?.meta_data?.total_compressed_size ?? 0), rows });
      const cells = await parquetReadObjects({ file, metadata, columns: [name], rowStart, rowEnd });
      columns.push({ name, cells: cells.map((cell) => cell[name]) });
    }
    groups.push(columns);
    rowStart = rowEnd;
  }
  return groups;
}

const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads");
const decode = ${decode.toString()};
parentPort.on("message", async (file) => {
  try {
    const groups = await decode(await import(workerData), file, (ahead) => parentPort.postMessage(ahead));
    parentPort.postMessage({ groups });
  } catch (error) {
    parentPort.postMessage({ problem: String(error?.message ?? error) });
  }
});`;

/** Threads that have nothing to do. */
const idle = new Set<Worker>();

function takeThread(hyparquet: string): Worker {
  const [waiting] = idle;
  if (waiting) {
    idle.delete(waiting);
    return waiting;
  }
  const thread = new Worker(PROGRAM, {
    eval: true,
    workerData: hyparquet,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  // Whoever waits for it hears of its end; nobody else need.
  thread.on("error", () => idle.delete(thread));
  return thread;
}

async function recordsIn(file: ArrayBuffer, hyparquet: string): Promise<Record<string, unknown>[]> {
  const groups = await decoded(file, hyparquet);
  return groups.flatMap((columns) => {
    // What the file really holds: its header may claim any number.
    const [first] = columns;
    const rows: Record<string, unknown>[] = (first?.cells ?? []).map(() => ({}));
    for (const { name, cells } of columns) {
      if (cells.length !== rows.length)
        throw new Error(`column ${name} has ${cells.length} of ${rows.length} rows`);
      for (const [row, cell] of cells.entries()) Object.assign(rows[row] as object, { [name]: cell });
    }
    return rows;
  });
}

/** @throws Error saying what is wrong with the file */
async function decoded(file: ArrayBuffer, hyparquet: string): Promise<readonly (readonly Column[])[]> {
  const thread = takeThread(hyparquet);
  thread.ref();
  try {
    const said = await answerOf(thread, file);
    idle.add(thread);
    thread.unref();
    if ("problem" in said) throw new Error(said.problem);
    return said.groups;
  } catch (error) {
    if (!idle.has(thread)) void thread.terminate();
    throw error;
  }
}

type Answer = Exclude<Said, { readonly bytes: number }>;

/** @throws Error where the thread ends, or takes longer than there is patience for */
function answerOf(thread: Worker, file: ArrayBuffer): Promise<Answer> {
  const size = file.byteLength;
  const { promise, resolve, reject } = deferred<Answer>();
  let timer: NodeJS.Timeout | undefined;
  const wait = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => reject(new Error("it cannot be decoded in any time: it is damaged")), ms);
  };
  const hear = (said: Said): void => {
    if (!("bytes" in said)) resolve(said);
    else {
      // What a header claims is believed as far as the file could hold it.
      const [bytes, rows] = [Math.min(said.bytes, size), Math.min(said.rows, 1_000 * size)];
      wait(PATIENCE_MS + PATIENCE_MS_A_BYTE * bytes + PATIENCE_MS_A_ROW * rows);
    }
  };
  thread.on("message", hear);
  thread.on("error", reject);
  // A thread that begins has hyparquet to load.
  wait(10 * PATIENCE_MS + PATIENCE_MS_A_BYTE * size);
  thread.postMessage(file, [file]);
  return promise.finally(() => {
    clearTimeout(timer);
    thread.off("message", hear);
    thread.off("error", reject);
  });
}
