/** What a growth run is asked for, as plain data that can be posted to another thread, and its one validator. */
import { z } from "zod";
import { KasminaError } from "../../base/index.js";
import { builtinBlueprints, HOST_IDS } from "../../nn/index.js";

interface DataDefaults {
  readonly host: string;
  readonly epochs: number;
  readonly batch: number;
}

/** Of a run, where nothing else is asked for, by the kind of data. */
const DATA_DEFAULTS: Readonly<Record<string, DataDefaults>> = {
  mnist: { host: "resmlp", epochs: 6, batch: 128 },
  spirals: { host: "resmlp", epochs: 16, batch: 50 },
  text: { host: "charlm", epochs: 1, batch: 16 },
};
const OTHER_DATA: DataDefaults = { host: "resmlp", epochs: 20, batch: 32 };

const EPOCHS_MAX = 100_000;
const BATCH_MAX = 1_000_000;
const THREADS_MAX = 256;

const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number in ${min}..${max}`;
  return z.number({ error }).refine((n) => Number.isInteger(n) && n >= min && n <= max, { error });
};
export const threadCount = wholeNumber(1, THREADS_MAX);
const oneOf = <const T extends string>(values: readonly [T, ...T[]]) =>
  z.enum(values, { error: `must be one of ${values.join(", ")}` });
const text = z.string({ error: "must be a text" }).min(1, { error: "must not be empty" });
const flag = z.boolean({ error: "must be true or false" });

const amountError = "must be a number or a percentage, 0 or more";
const amount = z.union([z.number().min(0), z.string().regex(/^\d+(\.\d+)?%$/)], { error: amountError });

const [firstHost = "", ...otherHosts] = HOST_IDS as readonly string[];

const schema = z.strictObject({
  /** Names the run in telemetry and files; default: made by the caller's clock, see `runGrowth`. */
  runId: text.optional(),
  /** `mnist`, `idx:<dir>`, `csv:<file>?label=<column>`, `text:<file>`, `spirals`; default `spirals`. */
  data: text.default("spirals"),
  /** Default: `charlm` for text, else `resmlp`. */
  host: oneOf([firstHost, ...otherHosts]).optional(),
  /** `auto` takes native where it loads and else wasm. */
  engine: oneOf(["auto", "native", "wasm"]).default("auto"),
  /** Threads of the native engine; default: one a physical core. */
  threads: threadCount.optional(),
  epochs: wholeNumber(1, EPOCHS_MAX).optional(),
  batch: wholeNumber(1, BATCH_MAX).optional(),
  /** Learning rate; default: the optimizer's. */
  lr: z
    .number({ error: "must be a number greater than 0" })
    .refine((n) => Number.isFinite(n) && n > 0, { error: "must be a number greater than 0" })
    .optional(),
  optimizer: oneOf(["sgd", "adam", "adamw"]).default("adam"),
  /** Everything random in a run follows from it. */
  seed: wholeNumber(0, 0xffff_ffff).default(0),
  /** Blueprint of the seeds; `auto`: the one that suits the slot. */
  blueprint: oneOf(["auto", ...builtinBlueprints.ids]).default("auto"),
  /** Slots that may be grown in; default: all of the host. */
  slots: z
    .array(text, { error: "must be a list of slot names" })
    .min(1, { error: "must name a slot" })
    .optional(),
  /**
   * `plateau` germinates when the held-out loss flattens, `epoch:<n>` from that epoch on; `schedule` and `random` measure
   * nothing and are there to be compared with.
   */
  policy: z
    .string()
    .regex(/^(plateau|schedule|random|epoch:[1-9]\d{0,5})$/, {
      error: "must be plateau, schedule, random or epoch:<n>",
    })
    .default("plateau"),
  /** Scalars that seeds may add: a number, or a percentage of the host's. Default: no limit. */
  budgetParams: amount.optional(),
  /** FLOPs that growth may add to those of the host alone over the run: a number, or a percentage of them. */
  budgetFlops: amount.optional(),
  /** Milliseconds that a forward pass of a kernel may take; default: 10. */
  latencyBudget: z
    .number({ error: "must be a number in 1..1000000" })
    .min(1, { error: "must be a number in 1..1000000" })
    .max(1_000_000, { error: "must be a number in 1..1000000" })
    .optional(),
  /** Largest share of a training step's FLOPs that a seed may take; default: no limit. */
  stepShareBudget: z
    .number({ error: "must be a number in 0..1" })
    .min(0, { error: "must be a number in 0..1" })
    .max(1, { error: "must be a number in 0..1" })
    .optional(),
  /** Folder of a run whose network is learnt from, beside the labels. */
  teacher: text.optional(),
  /** Part of the teacher in the loss; the labels have the rest. */
  distillWeight: z
    .number({ error: "must be a number in 0..1" })
    .min(0, { error: "must be a number in 0..1" })
    .max(1, { error: "must be a number in 0..1" })
    .default(0.3),
  /** Softmax temperature at which teacher and learner are compared. */
  distillTemperature: z
    .number({ error: "must be a number in 0.1..100" })
    .min(0.1, { error: "must be a number in 0.1..100" })
    .max(100, { error: "must be a number in 0.1..100" })
    .default(4),
  /** false: the host alone, without a seed. */
  growth: flag.default(true),
  /** Also trains the same host alone, for the same number of epochs, and reports both. */
  compare: flag.default(false),
  /** Folder of the kernel catalog; default: `catalog` in the run's folder, or a passing one where there is none. */
  catalog: text.optional(),
  /** Folder for the run's files; left out: no files. */
  runDir: text.optional(),
  /** Whether the group may read the run's files, keys and journal aside; default: owner only. */
  share: flag.optional(),
});

/** What a caller may leave out. */
export type GrowthOptions = z.input<typeof schema>;

/** With every default filled in. */
export type GrowthConfig = z.output<typeof schema> & DataDefaults;

/**
 * Checks options and fills in the defaults.
 *
 * @throws KasminaError `invalid_argument` naming the key, what it must be and what it was; `details.key` holds the key
 */
export function parseGrowthConfig(options: unknown): GrowthConfig {
  const result = schema.safeParse(options);
  if (!result.success) throw firstProblem(result.error.issues[0], options);
  const kind = result.data.data.split(/[:?]/)[0] ?? "";
  const { host, epochs, batch } = Object.hasOwn(DATA_DEFAULTS, kind)
    ? (DATA_DEFAULTS[kind] ?? OTHER_DATA)
    : OTHER_DATA;
  return {
    ...result.data,
    host: result.data.host ?? host,
    epochs: result.data.epochs ?? epochs,
    batch: result.data.batch ?? batch,
  };
}

/** The error for what a schema found first, naming the option. */
export function firstProblem(issue: z.core.$ZodIssue | undefined, options: unknown): KasminaError {
  if (issue?.code === "unrecognized_keys") {
    const known = Object.keys(schema.shape).join(", ");
    return new KasminaError("invalid_argument", `unknown key ${issue.keys.join(", ")}; known are ${known}`);
  }
  const key = String(issue?.path[0] ?? "");
  if (!issue || key === "") {
    return new KasminaError("invalid_argument", "a growth configuration must be an object");
  }
  const value = (options as Readonly<Record<string, unknown>>)[key];
  const got = typeof value === "string" ? `"${value}"` : String(value);
  const problem = `${issue.message}, got ${got}`;
  return new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}
