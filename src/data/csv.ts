/** Tables in text: cells between delimiters. */
import type { Dataset } from "../contracts/dataset.js";
import { parseTable } from "./table.js";
import { datasetFromTable, type TableDatasetOptions } from "./table-dataset.js";

export interface CsvOptions extends TableDatasetOptions {
  /** Between the cells: a character, or `tab`, `comma`, `semicolon`, `pipe`; default: what the header has most of. */
  readonly delimiter?: string;
}

/**
 * A dataset from the text of a table, as {@link datasetFromTable} makes it.
 *
 * @param name names the data in errors: `csv:iris.csv`
 * @throws KasminaError `invalid_data` naming row and column of what cannot be used
 */
export function datasetFromCsv(text: string, name: string, options: CsvOptions = {}): Dataset {
  return datasetFromTable(parseTable(text, name, options.delimiter), name, options);
}
