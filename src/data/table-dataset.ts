/** Tables in memory as data: columns of numbers or of categories, one column with the label, and which rows serve what. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import type { Table } from "./table.js";
import type { TableOptions } from "./table-options.js";
import { inMemory, TableReader } from "./table-reader.js";

export interface TableDatasetOptions extends TableOptions {
  /** Rows that are the test set: all others are learned from. */
  readonly testTable?: Table;
}

/**
 * A dataset from a table. Numbers are standardised by the mean and deviation of the training
 * rows, a column of texts becomes one input a category; labels become class numbers in sorted order (by value where all are numbers),
 * numbers to be predicted are scaled as inputs are.
 *
 * @param name names the data in errors: `csv:iris.csv`
 * @throws KasminaError `invalid_data` naming row and column of what cannot be used
 */
export function datasetFromTable(table: Table, name: string, options: TableDatasetOptions = {}): Dataset {
  const { testTable, ...how } = options;
  const places = testTable && placesIn(testTable.columns, table.columns, name);
  const reader = new TableReader(table.columns, name, how, inMemory);
  for (const record of table.records) reader.add(record);
  if (testTable && places) {
    reader.beginTest();
    for (const record of testTable.records) reader.add(places.map((place) => record[place] ?? ""));
  }
  return reader.dataset();
}

/**
 * Where a test table has the columns of the one that is learned from.
 * @throws KasminaError `invalid_data` where it lacks one
 */
export function placesIn(tested: readonly string[], columns: readonly string[], name: string): number[] {
  const lacking = columns.find((column) => !tested.includes(column));
  if (lacking !== undefined)
    throw new KasminaError("invalid_data", `${name}: its test_file has no column "${lacking}"`);
  return columns.map((column) => tested.indexOf(column));
}
