/** What data are, whatever they are called: a digest over all that a training sees of them, and where they came from. */
import { createHash, type Hash } from "node:crypto";
import { resolve } from "node:path";
import type { Dataset, Rows } from "../contracts/dataset.js";
import { parseDataName, withOption, withPath } from "./data-name.js";
import { isFromFiles } from "./open.js";

/** SHA-256 in hex over inputs, labels, splits, task, class names and scaling: equal where a training would go the same way. */
export function digestOfDataset(dataset: Dataset): string {
  const { inputShape, inputDType, task, classes, classNames, targets, columns, images } = dataset;
  const hash = createHash("sha256");
  hash.update(
    JSON.stringify({ inputShape, inputDType, task, classes, classNames, targets, columns, images }),
  );
  for (const rows of [dataset.train, dataset.heldOut, dataset.test]) addRows(hash, rows);
  return hash.digest("hex");
}

function addRows(hash: Hash, { inputs, labels, labelShape, scale, count }: Rows): void {
  hash.update(JSON.stringify({ kind: inputs.constructor.name, labelShape, scale, count }));
  for (const { buffer, byteOffset, byteLength } of [inputs, labels])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
}

/** The same data by an absolute path, so that the name holds in any working folder. */
export function absoluteDataName(name: string): string {
  const parsed = parseDataName(name);
  if (!isFromFiles(parsed)) return name;
  const testFile = parsed.options.get("test_file");
  const whole = withPath(name, resolve(parsed.path));
  return testFile === undefined ? whole : withOption(whole, "test_file", resolve(testFile));
}
