/** What a network is grown for: its answers on rows of data, and how good they are. From a run's folder, or from an exported ONNX file. */
import { z } from "zod";
import { lstatIfThere, readRegular } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import { TASK_IDS, type TaskId } from "../../contracts/index.js";
import { parseDataName } from "../../data/data-name.js";
import { digestOfDataset } from "../../data/digest.node.js";
import { type Dataset, openDataset } from "../../data/index.js";
import { tableOptions } from "../../data/open.js";
import { type Preprocessing, readUnseen, type UnseenRows } from "../../data/unseen.js";
import { OnnxFile } from "../../engine/native/onnx-file.js";
import { type Evaluation, evaluationOf, taskFor } from "../../network/index.js";
import { columnsSchema, type DataRecord, imagesSchema, targetsSchema } from "../folder/data-record.js";
import { runFileOf } from "../folder/run-file.js";
import { readRunFolder } from "../folder/run-folder.js";
import { type GivenCode, readGrownNetwork } from "./read-network.node.js";

/** An evaluation, and of what. */
export interface DataEvaluation extends Evaluation {
  /** What each class number or label stands for; of a regression its targets. */
  readonly classNames: readonly string[];
  /** Whether the data are those that the run learned from, of which only the test part counts. */
  readonly isOwnTestPart: boolean;
}

/** Cells of a row by column. */
export type RowPrediction = Readonly<Record<string, string | number>>;

/**
 * A table: of classes `prediction` and `p_<class>`; of several labels `prediction` (their names, joined by `;`) and `p_<label>`; of a
 * regression `prediction`, or `prediction_<target>` of each of several. Of images, `file` before all of these.
 */
export interface DataPredictions {
  readonly columns: readonly string[];
  readonly rows: readonly RowPrediction[];
  /** Columns of the data that the network does not know. */
  readonly ignored: readonly string[];
}

/** A network that rows can be given to. */
interface UsableNetwork {
  readonly how: Preprocessing;
  /** Of the data that it learned from, where it is a run of which that is known. */
  readonly data?: DataRecord;
  outputs(rows: UnseenRows["inputs"]): AsyncGenerator<Float32Array>;
  close(): Promise<void>;
}

/**
 * How good the network is on data with labels: every row of a table or text, the test part of `mnist`, `idx:` and `spirals`; of the very
 * data that a run learned from, the test part that it never saw.
 *
 * @param path folder of a run, or an ONNX file that Kasmina exported
 * @param data as `--data` takes it
 * @throws KasminaError `invalid_data` for data that do not fit the network, by row and column; `loss_not_finite` where it is wrecked
 * @example
 * const { metrics } = await evaluateOn("runs/x", "csv:new.csv");
 */
export async function evaluateOn(path: string, data: string, given: GivenCode = {}): Promise<DataEvaluation> {
  const network = await openNetwork(path, given);
  try {
    const { inputs, labels, count, weights, textBytes, isOwnTestPart } = await rowsToEvaluate(network, data);
    const evaluation = await evaluationOf(network.outputs(inputs), {
      ...network.how,
      labels,
      rows: count,
      weights,
      textBytes,
    });
    return { ...evaluation, classNames: namesOf(network.how), isOwnTestPart };
  } finally {
    await network.close();
  }
}

/**
 * What the network says of each row, in order; labels are not looked at, and may be missing.
 *
 * @throws KasminaError as {@link evaluateOn} does; `invalid_argument` for a network that tells a token at each position
 * @example
 * const { rows } = await predictOn("runs/x", "csv:new.csv");
 */
export async function predictOn(path: string, data: string, given: GivenCode = {}): Promise<DataPredictions> {
  const network = await openNetwork(path, given);
  try {
    const { inputs, count, ignored, files } = await readUnseen(data, network.how, false);
    if (network.how.task === "next-token")
      throw new KasminaError(
        "invalid_argument",
        `${path} tells a token at each position, not a class of each row`,
      );
    const { classes } = network.how;
    const task = taskFor(network.how.task);
    const table = task.table(network.how);
    const rows: RowPrediction[] = [];
    for await (const outputs of network.outputs(inputs)) {
      const some = outputs.length / classes;
      const answers = task.answers(outputs, network.how);
      for (let row = 0; row < some; row++) {
        const cells = table.cells(answers, row);
        const file = files && { file: files[rows.length] ?? "" };
        rows.push({
          ...file,
          ...Object.fromEntries(table.columns.map((column, i) => [column, cells[i] ?? ""])),
        });
      }
    }
    if (rows.length !== count)
      throw new KasminaError("invalid_data", `${path} gives ${rows.length} answers for ${count} rows`);
    return { columns: files ? ["file", ...table.columns] : table.columns, rows, ignored };
  } finally {
    await network.close();
  }
}

function namesOf({ classes, classNames, targets }: Preprocessing): readonly string[] {
  return (
    classNames ?? targets?.map(({ name }) => name) ?? Array.from({ length: classes }, (_, i) => String(i))
  );
}

async function rowsToEvaluate({ how, data: known }: UsableNetwork, name: string) {
  const own = known && (await sameData(name, known));
  if (own) return { ...own.test, isOwnTestPart: true };
  const { labels = new Int32Array(), ...rows } = await readUnseen(name, how, true);
  return { ...rows, labels, isOwnTestPart: false };
}

/** The data, where they are those of the record; what cannot be opened to learn from is others. */
async function sameData(name: string, { sha256 }: DataRecord): Promise<Dataset | undefined> {
  try {
    const dataset = await openDataset(name);
    return digestOfDataset(dataset) === sha256 ? dataset : undefined;
  } catch (error) {
    if (error instanceof KasminaError && error.code === "invalid_data") return undefined;
    throw error;
  }
}

async function openNetwork(path: string, given: GivenCode): Promise<UsableNetwork> {
  return lstatIfThere(path)?.isFile() ? openFile(path) : openRun(path, given);
}

async function openRun(path: string, given: GivenCode): Promise<UsableNetwork> {
  const { path: folder, about } = await readRunFolder(path);
  const { data } = runFileOf(about, folder);
  const network = await readGrownNetwork(path, given);
  const { inputShape, classes, task, targets, threshold, tokenizer } = network;
  return {
    how: {
      inputShape,
      task,
      classes,
      threshold,
      ...(targets && { targets }),
      ...(data?.class_names && { classNames: data.class_names }),
      ...(data?.columns && { columns: data.columns, table: tableOptions(parseDataName(data.origin)) }),
      ...(data?.images && { images: data.images }),
      ...(tokenizer !== undefined && { tokenizer }),
    },
    ...(data && { data }),
    outputs: (rows) => network.outputs(rows),
    close: async () => undefined,
  };
}

/** A model of 2 GiB does not fit into one message of its format. */
const MODEL_MAX_BYTES = 2 ** 31;

async function openFile(path: string): Promise<UsableNetwork> {
  const file = await OnnxFile.open(await readRegular(path, { maxBytes: MODEL_MAX_BYTES }));
  const { metadata, inputShape } = file;
  const classNames = jsonIn(path, metadata, "class_names", z.array(z.string()));
  const columns = jsonIn(path, metadata, "columns", columnsSchema);
  const targets = jsonIn(path, metadata, "targets", targetsSchema);
  const images = jsonIn(path, metadata, "images", imagesSchema);
  const tokenizer = metadata.get("tokenizer");
  const task = taskIn(path, metadata, { targets });
  const threshold = jsonIn(path, metadata, "threshold", z.number().min(0).max(1));
  const classes = targets?.length ?? classNames?.length ?? Number(metadata.get("classes"));
  if (!Number.isInteger(classes) || classes < (task === "classification" ? 2 : 1))
    throw new KasminaError(
      "invalid_data",
      `${path} does not say what its outputs are: Kasmina did not export it`,
    );
  return {
    how: {
      inputShape,
      task: task === "classification" && file.outputRank > 2 ? "next-token" : task,
      classes,
      threshold,
      ...(targets && { targets }),
      ...(classNames && { classNames }),
      ...(columns && { columns, table: { label: metadata.get("label_column") ?? "label" } }),
      ...(images && { images }),
      ...(tokenizer !== undefined && { tokenizer }),
    },
    outputs: (rows) =>
      file.outputs(rows instanceof Uint8Array ? Float32Array.from(rows, (byte) => byte / 255) : rows),
    close: () => file.close(),
  };
}

/** @throws KasminaError `invalid_data` for a task that no network has, or a regression that does not say of what */
function taskIn(
  path: string,
  metadata: ReadonlyMap<string, string>,
  { targets }: { readonly targets: unknown },
): TaskId {
  const said = metadata.get("task") ?? "classification";
  const task = TASK_IDS.find((id) => id === said);
  if (task && (task === "regression") === (targets !== undefined)) return task;
  throw new KasminaError("invalid_data", `${path}: its metadata task and targets do not fit`);
}

function jsonIn<T>(
  path: string,
  metadata: ReadonlyMap<string, string>,
  key: string,
  schema: z.ZodType<T>,
): T | undefined {
  const text = metadata.get(key);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new KasminaError("invalid_data", `${path}: its metadata ${key} do not fit: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
