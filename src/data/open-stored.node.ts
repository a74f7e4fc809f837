/** Tables that are larger than memory: read once, row by row, into a file from which batches are read. */
import type { Dataset, StoredInputs } from "../contracts/dataset.js";
import type { DataName } from "./data-name.js";
import { checkedName, memoryOf, type OpenOptions, splitOptions, tableOptions } from "./open.js";
import { sizeOnDisk } from "./read-stream.node.js";
import { StoredTable } from "./stored-inputs.node.js";
import { STREAMED_KINDS, streamTable } from "./stream-table.node.js";
import { placesIn } from "./table-dataset.js";
import type { TableOptions } from "./table-options.js";
import { TableReader } from "./table-reader.js";

/** Whoever opened it closes it. */
export interface StoredDataset {
  readonly dataset: Dataset<StoredInputs>;
  close(): Promise<void>;
}

/**
 * @param name as `--data` takes it
 * @param folder of a run: it takes the rows, in a file without a name that is gone with the process
 * @returns undefined for data that are read into memory: no table, or one in a file of no more than `?memory=` MB
 * @throws KasminaError as `openDataset` does; `io` where the disk is full
 */
export async function openStored(
  name: string,
  folder: string,
  { seed = 0 }: OpenOptions = {},
): Promise<StoredDataset | undefined> {
  const spec = checkedName(name);
  if (!STREAMED_KINDS.has(spec.kind) || !(await isLarge(spec))) return undefined;
  const { testFile, ...split } = splitOptions(spec, seed);
  const title = `${spec.kind}:${spec.path}`;
  const stored = new StoredTable(folder, title);
  try {
    const reader = await readRows(spec, title, { ...tableOptions(spec), ...split }, stored, testFile);
    return { dataset: reader.dataset(), close: () => stored.close() };
  } catch (error) {
    await stored.close();
    throw error;
  } finally {
    stored.closeCells();
  }
}

async function isLarge(spec: DataName): Promise<boolean> {
  const files = [spec.path, spec.options.get("test_file")].filter((file) => file !== undefined);
  const sizes = await Promise.all(files.map(sizeOnDisk));
  return sizes.reduce((sum, size) => sum + size, 0) > memoryOf(spec);
}

interface Begun {
  readonly reader: TableReader<StoredInputs>;
  readonly columns: readonly string[];
}

/** Every row of the table, and after them those of the one that is tested on. */
async function readRows(
  spec: DataName,
  name: string,
  options: TableOptions,
  stored: StoredTable,
  testFile: string | undefined,
): Promise<TableReader<StoredInputs>> {
  let begun: Begun | undefined;
  await streamTable(spec, {
    columns: (columns) => {
      begun = { columns, reader: new TableReader(columns, name, options, stored) };
    },
    record: (cells) => begun?.reader.add(cells),
  });
  // The table has a header, or would have been refused.
  const { reader, columns } = begun as Begun;
  if (testFile === undefined) return reader;
  reader.beginTest();
  let places: readonly number[] = [];
  await streamTable(
    { ...spec, path: testFile },
    {
      columns: (names) => {
        places = placesIn(names, columns, name);
      },
      record: (cells) => reader.add(places.map((place) => cells[place] ?? "")),
    },
  );
  return reader;
}
