/** Parquet files, read by hyparquet, which whoever has such files installs. */
import { KasminaError, messageOf } from "../base/errors.js";
import { readPlain } from "./read-file.node.js";
import { tableOf } from "./records.js";
import type { Table } from "./table.js";

const INSTALL = "npm install hyparquet";
/** They are read whole. */
const MAX_BYTES = 2 ** 31;

/** @throws KasminaError `unavailable` without hyparquet, `invalid_data` for a file that is none, or has columns that are no plain values */
export async function readParquet(path: string, name: string): Promise<Table> {
  const hyparquet = await load();
  const bytes = await readPlain(path, () => MAX_BYTES);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  try {
    return tableOf(await recordsIn(hyparquet, file), name);
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

/**
 * One column of one row group at a time: hyparquet reads those that it is given at once, and of several that are damaged the errors of
 * all but the first would be nobody's and end the process.
 */
async function recordsIn(
  { parquetMetadata, parquetReadObjects, parquetSchema }: Hyparquet,
  file: ArrayBuffer,
) {
  const metadata = parquetMetadata(file);
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  const records: Record<string, unknown>[] = [];
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    let rows: Record<string, unknown>[] | undefined;
    for (const name of names) {
      const cells = await parquetReadObjects({ file, metadata, columns: [name], rowStart, rowEnd });
      // What the file really holds: its header may claim any number.
      rows ??= cells.map(() => ({}));
      if (cells.length !== rows.length)
        throw new Error(`column ${name} has ${cells.length} of ${rows.length} rows`);
      for (const [row, cell] of cells.entries()) Object.assign(rows[row] as object, { [name]: cell[name] });
    }
    for (const row of rows ?? []) records.push(row);
    rowStart = rowEnd;
  }
  return records;
}

type Hyparquet = typeof import("hyparquet");

async function load(): Promise<Hyparquet> {
  try {
    return await import("hyparquet");
  } catch (error) {
    throw new KasminaError("unavailable", `Parquet files need the optional package hyparquet: ${INSTALL}`, {
      cause: error,
    });
  }
}
