/** What data are, whatever they are called: a digest over all that a training sees of them, and where they came from. */
import { createHash, type Hash } from "node:crypto";
import { resolve } from "node:path";
import {
  type AnyDataset,
  type AnyRows,
  type InputArray,
  InputParts,
  isStored,
} from "../contracts/dataset.js";
import { parseDataName, withOption, withPath } from "./data-name.js";
import { isFromFiles } from "./open.js";

/** Values of a file that are looked at at once. */
const PART_VALUES = 65_536;

/** SHA-256 in hex over inputs, labels, weights, splits, task, class names, tokenizer and scaling: equal where a training would go the same way. */
export function digestOfDataset(dataset: AnyDataset): string {
  const { inputShape, inputDType, task, classes, classNames, targets, columns, images, tokenizer } = dataset;
  const hash = createHash("sha256");
  hash.update(
    JSON.stringify({
      inputShape,
      inputDType,
      task,
      classes,
      classNames,
      targets,
      columns,
      images,
      tokenizer,
    }),
  );
  for (const rows of [dataset.train, dataset.heldOut, dataset.test]) addRows(hash, rows);
  return hash.digest("hex");
}

function addRows(hash: Hash, { inputs, labels, labelShape, scale, count, weights }: AnyRows): void {
  const kind = isStored(inputs) ? Float32Array.name : inputs.constructor.name;
  hash.update(JSON.stringify({ kind, labelShape, scale, count }));
  const parts = new InputParts(inputs, PART_VALUES);
  for (let from = 0; from < inputs.length; from += PART_VALUES)
    addValues(hash, parts.between(from, from + PART_VALUES));
  addValues(hash, labels);
  if (weights) addValues(hash, weights);
}

function addValues(hash: Hash, { buffer, byteOffset, byteLength }: InputArray): void {
  hash.update(new Uint8Array(buffer, byteOffset, byteLength));
}

/** Options that name another file. */
const PATH_OPTIONS = ["test_file", "tokenizer"] as const;

/** The same data by an absolute path, so that the name holds in any working folder. */
export function absoluteDataName(name: string): string {
  const parsed = parseDataName(name);
  if (!isFromFiles(parsed)) return name;
  let whole = withPath(name, resolve(parsed.path));
  for (const key of PATH_OPTIONS) {
    const path = parsed.options.get(key);
    if (path !== undefined) whole = withOption(whole, key, resolve(path));
  }
  return whole;
}
