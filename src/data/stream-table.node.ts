/** Tables in files, record by record, however many there are. */
import { parse } from "csv-parse";
import { KasminaError, messageOf } from "../base/errors.js";
import type { DataName } from "./data-name.js";
import { streamText } from "./read-stream.node.js";
import { RecordReader, recordIn } from "./records.js";
import { CELLS, columnsOf, delimiterOf, noRows } from "./table.js";

/** Takes a table as it comes. */
export interface RecordSink {
  /** Before any record. */
  columns(names: readonly string[]): void;
  /** @param cells one a column, without space around it */
  record(cells: readonly string[]): void;
}

/** Kinds of tables that need not fit into memory. */
export const STREAMED_KINDS: ReadonlySet<string> = new Set(["csv", "jsonl"]);

/**
 * @param spec of one of {@link STREAMED_KINDS}
 * @throws KasminaError `invalid_data` for a file that holds no table, by line or row; whatever the sink throws
 */
export function streamTable({ kind, path, options }: DataName, sink: RecordSink): Promise<void> {
  const name = `${kind}:${path}`;
  const texts = streamText(path, name, options.get("encoding"));
  return kind === "jsonl" ? streamJsonLines(texts, name, sink) : streamCsv(texts, name, options, sink);
}

async function streamCsv(
  texts: AsyncGenerator<string>,
  name: string,
  options: DataName["options"],
  sink: RecordSink,
): Promise<void> {
  let header: readonly string[] | undefined;
  let rows = 0;
  const take = (record: readonly string[]): null => {
    if (header) {
      sink.record(record);
      rows++;
    } else {
      header = columnsOf(record, name);
      sink.columns(header);
    }
    // Nothing is left for the parser to pass on.
    return null;
  };
  const start = await upToHeader(texts);
  const delimiter = delimiterOf(start, name, options.get("delimiter"));
  const parser = parse({ ...CELLS, delimiter, on_record: take });
  parser.resume();
  const ended = new Promise<void>((resolve, reject) => {
    parser.once("end", resolve).once("error", reject);
  });
  ended.catch(() => undefined);
  try {
    await written(parser, start);
    for await (const text of texts) await written(parser, text);
    parser.end();
    await ended;
  } catch (error) {
    if (error instanceof KasminaError) throw error;
    throw new KasminaError("invalid_data", `${name}: ${messageOf(error)}`, { cause: error });
  } finally {
    parser.destroy();
  }
  if (!header) columnsOf(undefined, name);
  if (rows === 0) throw noRows(name);
}

/** The text until the first line that says something is whole. */
async function upToHeader(texts: AsyncGenerator<string>): Promise<string> {
  let start = "";
  while (!/\S[^\n]*\n/.test(start)) {
    const next = await texts.next();
    if (next.done) break;
    start += next.value;
  }
  return start;
}

function written(parser: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    parser.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

async function streamJsonLines(texts: AsyncGenerator<string>, name: string, sink: RecordSink): Promise<void> {
  let reader: RecordReader | undefined;
  let rows = 0;
  let number = 0;
  for await (const line of linesIn(texts)) {
    const record = recordIn(line, number++, name);
    if (!record) continue;
    if (!reader) {
      reader = new RecordReader(record, name);
      sink.columns(reader.columns);
    }
    sink.record(reader.cells(record, rows++));
  }
  if (!reader) throw new KasminaError("invalid_data", `${name} has no rows`);
}

async function* linesIn(texts: AsyncGenerator<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of texts) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest;
}
