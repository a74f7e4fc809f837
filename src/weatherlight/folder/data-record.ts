/**
 * What `run.json` says of a run's data: which they are (a digest, and where they lay when the run began), and how raw rows become
 * inputs. A run that goes on is held against it, and whoever exports the network passes it on.
 */
import { z } from "zod";
import { KasminaError, sha256Hex, utf8 } from "../../base/index.js";
import { type AnyDataset, TASK_IDS } from "../../contracts/index.js";
import { parseDataName } from "../../data/data-name.js";

/**
 * Of a table, column by column: a number's input is (value − mean) / deviation, and 0 where the deviation is 0; a text has one input a
 * category, 1 for its own. `fill` lets a value be missing: it is 0 then.
 */
export const columnsSchema = z.array(
  z.union([
    z.strictObject({
      name: z.string(),
      mean: z.number(),
      deviation: z.number(),
      fill: z.boolean().optional(),
    }),
    z.strictObject({
      name: z.string(),
      categories: z.array(z.string()).readonly(),
      fill: z.boolean().optional(),
    }),
  ]),
);

/** Of images: scaled to cover a square of `size` pixels, cut to its middle, then (byte − mean) / deviation. */
export const imagesSchema = z.strictObject({
  size: z.int().positive(),
  channels: z.union([z.literal(1), z.literal(3)]),
  mean: z.number(),
  deviation: z.number().positive(),
  layout: z.literal("NHWC"),
});

/** Of a regression: a prediction is output · deviation + mean. */
export const targetsSchema = z.array(
  z.strictObject({ name: z.string(), mean: z.number(), deviation: z.number().positive() }),
);

export const dataSchema = z.object({
  /** As `--data` takes it, with an absolute path; of data in code, their name. */
  origin: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  rows: z.object({ train: z.int(), held_out: z.int(), test: z.int() }),
  input_shape: z.array(z.int()),
  /** Multiplied into every raw input: 1/255 for bytes. */
  input_scale: z.number(),
  /** Left out: `classification`, or of a sequence `next-token`. */
  task: z.enum(TASK_IDS).optional(),
  /** Classes, labels, or numbers to be predicted. */
  classes: z.int(),
  /** What each class number stands for; of a text, its vocabulary. */
  class_names: z.array(z.string()).optional(),
  targets: targetsSchema.optional(),
  columns: columnsSchema.optional(),
  images: imagesSchema.optional(),
  /** Of the `tokenizer.json` beside this file, where a text is of tokens. */
  tokenizer_sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});

export type DataRecord = z.infer<typeof dataSchema>;

/** Undefined for runs of the time before it was written. @throws KasminaError `corrupt` for one that does not fit */
export function dataRecordIn(about: unknown): DataRecord | undefined {
  const found = z.object({ data: dataSchema.optional() }).safeParse(about);
  if (found.success) return found.data.data;
  const where = found.error.issues[0]?.path.join(".");
  throw new KasminaError("corrupt", `run.json: ${where} does not fit`);
}

/** @param source the digest of the data, and where they lay */
export function dataRecordOf(
  dataset: AnyDataset,
  { origin, sha256 }: Pick<DataRecord, "origin" | "sha256">,
): DataRecord {
  const { train, heldOut, test, classNames, columns, targets, task, images, tokenizer } = dataset;
  return {
    origin,
    sha256,
    rows: { train: train.count, held_out: heldOut.count, test: test.count },
    input_shape: [...dataset.inputShape],
    input_scale: train.scale,
    ...(task && { task }),
    classes: dataset.classes,
    ...(targets && { targets: targets.map((target) => ({ ...target })) }),
    ...(classNames && { class_names: [...classNames] }),
    ...(columns && { columns: columns.map((column) => ({ ...column })) }),
    ...(images && { images: { ...images } }),
    ...(tokenizer !== undefined && { tokenizer_sha256: sha256Hex(utf8(tokenizer)) }),
  };
}

/** @throws KasminaError `invalid_data` where a run that goes on began with others, saying what differs */
export function checkSameData(name: string, recorded: DataRecord, present: DataRecord): void {
  if (recorded.sha256 === present.sha256) return;
  const what = differences(recorded, present).join("; ");
  throw new KasminaError("invalid_data", `${name} has changed since the run began: ${what}`);
}

/** For people, most telling first. */
function differences(before: DataRecord, now: DataRecord): string[] {
  const rowsOf = ({ rows }: DataRecord): number => rows.train + rows.held_out + rows.test;
  const namesOf = ({ columns }: DataRecord): string => columns?.map(({ name }) => name).join(", ") ?? "";
  const targetsOf = ({ targets }: DataRecord): string => targets?.map(({ name }) => name).join(", ") ?? "";
  const facts: readonly (readonly [what: string, before: unknown, now: unknown])[] = [
    ["task", before.task ?? "classification", now.task ?? "classification"],
    ["rows", rowsOf(before), rowsOf(now)],
    ["inputs", `[${before.input_shape}]`, `[${now.input_shape}]`],
    ["classes", before.classes, now.classes],
    ["class names", before.class_names?.join(", "), now.class_names?.join(", ")],
    ["columns", namesOf(before), namesOf(now)],
    ["targets", targetsOf(before), targetsOf(now)],
    ["tokenizer's digest", before.tokenizer_sha256, now.tokenizer_sha256],
  ];
  const told = facts
    .filter(([, one, other]) => one !== other)
    .map(([what, one, other]) => `${what} were ${shortened(one)}, are ${shortened(other)}`);
  const digests = `digest was ${before.sha256.slice(0, 12)}, is ${now.sha256.slice(0, 12)}`;
  return told.length > 0 ? [...told, digests] : ["as many rows with other values", digests];
}

function shortened(value: unknown): string {
  const text = String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Of a table: the column that held the labels. */
function labelColumnOf({ origin }: Pick<DataRecord, "origin">): string {
  return parseDataName(origin).options.get("label") ?? "label";
}

/**
 * What a program needs to use the network on raw rows, as texts for a model's metadata.
 * @param tokenizer the text of its `tokenizer.json`, where it has one
 */
export function dataMetadata(record: DataRecord, tokenizer: string | undefined): Record<string, string> {
  return {
    data_sha256: record.sha256,
    input_scale: String(record.input_scale),
    ...(record.task && { task: record.task }),
    ...(record.targets ? { targets: JSON.stringify(record.targets) } : { classes: String(record.classes) }),
    ...(record.class_names && { class_names: JSON.stringify(record.class_names) }),
    ...(record.columns && { columns: JSON.stringify(record.columns) }),
    ...(record.images && { images: JSON.stringify(record.images) }),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(record.columns && !record.task && { label_column: labelColumnOf(record) }),
  };
}

/** The same for a model that does so itself. */
export function dataReading({ columns, input_scale: inputScale }: DataRecord) {
  return { columns, inputScale };
}
