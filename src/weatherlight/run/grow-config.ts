/**
 * The one validator of a run's options, whoever gives them: a program, the command line, the `run.json` of a run that is
 * resumed. What can be written down is kept apart from what is code, and every default is filled in.
 */
import { z } from "zod";
import { IDENTIFIER_RULE, isIdentifier, KasminaError } from "../../base/index.js";
import { type Dataset, TASK_IDS, type TaskId } from "../../contracts/index.js";
import type { DatasetArrays } from "../../data/arrays.js";
import { AUGMENTATIONS } from "../../data/augment.js";
import { addedOption, parseDataName, TABLE_KINDS } from "../../data/data-name.js";
import { type Backend, ENGINE_CHOICES, type EngineChoice } from "../../engine/index.js";
import type { KasminaConfigInput } from "../../kasmina/index.js";
import { THRESHOLD_AIMS } from "../../network/index.js";
import { type Blueprint, HEAD_CHOICES, HOST_IDS, type Host, TRAIN_CHOICES } from "../../nn/index.js";
import type { Amount, Policy } from "../../tamiyo/index.js";
import { type CheckpointInterval, KEEPS, SCHEDULE_IDS, type Warmup } from "../../tolaria/index.js";
import type { GrowCallbacks, GrowOptions, GrowParts } from "./grow-options.js";
import { isModuleReference } from "./module-reference.js";
import { isOnnxReference, onnxReference, parseOnnxReference } from "./onnx-reference.js";

interface DataDefaults {
  readonly host: Host | string;
  readonly epochs: number;
  readonly batch: number;
}

/** Of a run, where nothing else is asked for, by the kind of data. */
const DATA_DEFAULTS: ReadonlyMap<string, DataDefaults> = new Map([
  ["mnist", { host: "resmlp", epochs: 6, batch: 128 }],
  ["spirals", { host: "resmlp", epochs: 16, batch: 50 }],
  ["text", { host: "charlm", epochs: 1, batch: 16 }],
]);
const OTHER_DATA: DataDefaults = { host: "resmlp", epochs: 20, batch: 32 };
const OWN_TOKENS: DataDefaults = { ...OTHER_DATA, host: "charlm" };

const EPOCHS_MAX = 100_000;
const BATCH_MAX = 1_000_000;
const THREADS_MAX = 256;

const INTERVAL = /^([1-9]\d{0,8})(s|m|h|steps?)$/;
const DURATION = /^([1-9]\d{0,8})(s|m|h)$/;
/** Printable: it is shown in lists, on terminals and pages. */
const LABEL = /^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** What satisfies `is`, or one line that says what it must be. */
const checked = <T>(is: (value: unknown) => boolean, error: string) => z.custom<T>(is, { error });

const numberBetween = (min: number, max: number) =>
  checked<number>((n) => typeof n === "number" && n >= min && n <= max, `must be a number in ${min}..${max}`);
const wholeNumber = (min: number, max: number) =>
  checked<number>(
    (n) => Number.isInteger(n) && Number(n) >= min && Number(n) <= max,
    `must be a whole number in ${min}..${max}`,
  );
const oneOf = <const T extends string>(values: readonly [T, ...T[]]) =>
  z.enum(values, { error: `must be one of ${values.join(", ")}` });
const text = z.string({ error: "must be a text" }).min(1, { error: "must not be empty" });
const flag = z.boolean({ error: "must be true or false" });
const callback = checked<(...args: never[]) => unknown>(isFunction, "must be a function");
const object = <T>(what: string, ...methods: readonly string[]) =>
  checked<T>((value) => hasMethods(value, methods), `must be ${what}`);

const amount = checked<Amount>(
  (value) =>
    typeof value === "number"
      ? Number.isFinite(value) && value >= 0
      : /^\d+(\.\d+)?%$/.test(typeof value === "string" ? value : ""),
  "must be a number or a percentage, 0 or more",
);
const interval = checked<string>(
  (value) => typeof value === "string" && INTERVAL.test(value),
  'must be a time or a number of steps, such as "60s", "5m", "500steps"',
);
const duration = checked<string>(
  (value) => typeof value === "string" && DURATION.test(value),
  'must be a time such as "60s", "10m", "2h"',
);
const label = checked<string>(
  (value) => typeof value === "string" && LABEL.test(value),
  "must be a text of 1 to 100 characters in one line",
);
const warmup = checked<Warmup>(
  (value) =>
    typeof value === "number"
      ? Number.isSafeInteger(value) && value >= 0
      : typeof value === "string" && /^\d+(\.\d+)?%$/.test(value) && Number.parseFloat(value) <= 100,
  'must be a whole number of steps, 0 or more, or a percentage up to 100%, such as "5%"',
);
const positive = checked<number>(
  (n) => Number.isFinite(n) && Number(n) > 0,
  "must be a number greater than 0",
);
const data = checked<Dataset | DatasetArrays | string>(
  (value) => (typeof value === "string" ? value !== "" : isRecord(value) && isRecord(value.train)),
  'must be a Dataset, arrays with a "train" part, or a name such as "spirals" or "csv:<file>"',
);
const host = checked<Host | string>(
  (value) =>
    typeof value === "string"
      ? (HOST_IDS as readonly string[]).includes(value.split(":", 1)[0] ?? "") ||
        isModuleReference(value) ||
        isOnnxReference(value)
      : isRecord(value) && Array.isArray(value.blocks),
  `must be one of ${HOST_IDS.join(", ")} (with sizes: resmlp:width=128,blocks=4), onnx:<file>, module:<file>#<export>, or a Host`,
);
const blueprint = checked<Blueprint | string>(
  (value) =>
    typeof value === "string" ? value !== "" : hasMethods(value, ["apply", "parameters", "supports"]),
  "must hold blueprints, ids of built-in ones, or module:<file>#<export>",
);
const policy = checked<Policy | string>(
  (value) =>
    typeof value === "string"
      ? /^(plateau|schedule|random|remote|epoch:[1-9]\d{0,5})$/.test(value)
      : hasMethods(value, ["decide", "snapshot", "restore"]),
  "must be plateau, schedule, random, remote, epoch:<n>, or a Policy",
);

const engine = checked<EngineChoice | Backend>(
  (value) =>
    typeof value === "string"
      ? (ENGINE_CHOICES as readonly string[]).includes(value)
      : hasMethods(value, ["compile", "createState", "dispose"]),
  `must be one of ${ENGINE_CHOICES.join(", ")}, or a Backend`,
);

/** What `run.json` holds, code replaced by its name. The order of keys is that of the file. */
const RECORDED = {
  runId: z
    .string()
    .refine(isIdentifier, { error: `must be ${IDENTIFIER_RULE}` })
    .optional(),
  data,
  host: host.optional(),
  from: text.optional(),
  keepOptimizer: flag.optional(),
  engine: engine.default("auto"),
  threads: wholeNumber(1, THREADS_MAX).optional(),
  epochs: wholeNumber(1, EPOCHS_MAX).optional(),
  batch: wholeNumber(1, BATCH_MAX).optional(),
  lr: positive.optional(),
  schedule: oneOf(SCHEDULE_IDS).optional(),
  warmup: warmup.optional(),
  optimizer: oneOf(["sgd", "adam", "adamw"]).default("adam"),
  seed: wholeNumber(0, 0xffff_ffff).default(0),
  blueprint: text.default("auto"),
  blueprints: z
    .array(blueprint, { error: "must be a list of blueprints" })
    .min(1, { error: "must hold a blueprint" })
    .readonly()
    .optional(),
  slots: z
    .array(text, { error: "must be a list of slot names" })
    .min(1, { error: "must name a slot" })
    .readonly()
    .optional(),
  policy: policy.default("plateau"),
  budgetParams: amount.optional(),
  budgetFlops: amount.optional(),
  latencyBudget: numberBetween(1, 1_000_000).optional(),
  stepShareBudget: numberBetween(0, 1).optional(),
  limits: checked<KasminaConfigInput>(isRecord, "must be an object of limits").optional(),
  hostGradient: oneOf(["detach", "flow"]).optional(),
  task: oneOf(TASK_IDS).optional(),
  classWeights: oneOf(["balanced"]).optional(),
  augment: z
    .array(oneOf(AUGMENTATIONS), { error: "must be a list of augmentations" })
    .min(1, { error: "must name an augmentation" })
    .readonly()
    .optional(),
  labelSmoothing: numberBetween(0, 0.9).optional(),
  huberDelta: positive.optional(),
  teacher: text.optional(),
  distillWeight: numberBetween(0, 1).default(0.3),
  distillTemperature: numberBetween(0.1, 100).default(4),
  growth: flag.default(true),
  compare: flag.default(false),
  catalog: text.optional(),
  catalogService: flag.optional(),
  weightDecay: numberBetween(0, 1).optional(),
  clipNorm: positive.optional(),
  featureCache: numberBetween(0, 1_000_000).optional(),
  patience: wholeNumber(1, EPOCHS_MAX).optional(),
  keep: oneOf(KEEPS).optional(),
  threshold: oneOf(THRESHOLD_AIMS).optional(),
  timeLimit: duration.optional(),
  name: label.optional(),
  tags: z.array(label, { error: "must be a list of texts" }).readonly().optional(),
  checkpointEvery: interval.default("60s"),
  runDir: text.optional(),
  share: flag.optional(),
};

const PARTS = {
  tracer: object<NonNullable<GrowParts["tracer"]>>("a TopologyTracer", "trace").optional(),
  kernels: object<NonNullable<GrowParts["kernels"]>>("a source of kernels", "fetch", "prewarm").optional(),
  catalogPort: object<NonNullable<GrowParts["catalogPort"]>>("a MessagePort", "postMessage").optional(),
  batches: callback.optional(),
  commands: object<NonNullable<GrowParts["commands"]>>("a CommandSource", "drain").optional(),
  keys: object<NonNullable<GrowParts["keys"]>>("a KeyRing").optional(),
  absentInputs: checked<NonNullable<GrowParts["absentInputs"]>>(
    (value) => typeof value === "function",
    "must be a function",
  ).optional(),
  clock: object<NonNullable<GrowParts["clock"]>>("a Clock", "nowMs", "monotonicMs").optional(),
  signal: object<AbortSignal>("an AbortSignal", "addEventListener").optional(),
  reportEverySteps: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional(),
} satisfies Record<keyof GrowParts | "reportEverySteps", z.ZodType>;

const CALLBACKS = {
  onStep: callback.optional(),
  onEpoch: callback.optional(),
  onEvent: callback.optional(),
  onNotice: callback.optional(),
  onDecision: callback.optional(),
  onObservation: callback.optional(),
  onPacket: callback.optional(),
  onControl: callback.optional(),
} satisfies Record<keyof GrowCallbacks, z.ZodType>;

/** What becomes of a host from an ONNX file: part of its reference from then on. */
const OF_ONNX_HOST = { head: oneOf(HEAD_CHOICES).optional(), train: oneOf(TRAIN_CHOICES).optional() };

const newRun = z.strictObject({ ...RECORDED, ...OF_ONNX_HOST, ...PARTS, ...CALLBACKS });
/** Beside what the run has in its folder. */
const RESUMED = {
  resume: text,
  data: data.optional(),
  host: host.optional(),
  blueprints: RECORDED.blueprints,
  policy: policy.optional(),
  engine: engine.optional(),
  threads: RECORDED.threads,
  checkpointEvery: interval.optional(),
  featureCache: RECORDED.featureCache,
  timeLimit: duration.optional(),
  adopt: flag.optional(),
};
const resumedRun = z.strictObject({ ...RESUMED, ...PARTS, ...CALLBACKS });

type Recorded = z.output<z.ZodObject<typeof RECORDED>>;

/** The options of a run, every default filled in but those that its data decide. */
export interface GrowConfig extends Recorded, Omit<GrowParts, "batches">, GrowCallbacks {
  readonly batches?: GrowParts["batches"];
  readonly host: Host | string;
  readonly epochs: number;
  readonly reportEverySteps?: number;
  /** Rows a step; undefined: {@link DEFAULT_BATCH}, or all rows where they are fewer. */
  readonly batch: number | undefined;
}

/** Rows a step of own data, where nothing else is asked for. */
export const DEFAULT_BATCH = OTHER_DATA.batch;

/**
 * Checks the options of a run that begins, and fills in the defaults.
 *
 * @throws KasminaError `invalid_argument` naming the key, what it must be and what it was; `details.key` holds the key
 */
export function parseGrowOptions(options: unknown): GrowConfig {
  const asked = withTask(withOnnxOptions(parsed(newRun, options)));
  const { host, epochs, batch } = defaultsFor(asked.data);
  return {
    ...asked,
    host: asked.host ?? host,
    epochs: asked.epochs ?? epochs,
    batch: asked.batch ?? batch,
  } as GrowConfig;
}

/**
 * What a table is learned for stands in its name: so that all who read it, later and elsewhere, read the same.
 * @throws KasminaError `invalid_argument` for data by name that are of one task alone, which is another
 */
function withTask<T extends { readonly data: GrowConfig["data"]; readonly task?: TaskId | undefined }>(
  asked: T,
): T {
  const { data, task } = asked;
  if (task === undefined || typeof data !== "string") return asked;
  const { kind, options } = parseDataName(data);
  const own = options.get("task") ?? (kind === "text" ? "next-token" : undefined);
  if (own === task || (own === undefined && task === "classification" && !TABLE_KINDS.has(kind)))
    return asked;
  if (own === undefined && TABLE_KINDS.has(kind) && task !== "next-token")
    return { ...asked, data: addedOption(data, "task", task) };
  const problem = `must be ${own ?? "classification"}, which ${kind} data are for`;
  throw new KasminaError("invalid_argument", `task ${problem}, got ${task}`, {
    details: { key: "task", problem },
  });
}

/**
 * What is made of an ONNX file stands in its reference: so that all who read it, later and elsewhere, make the same.
 * @throws KasminaError `invalid_argument` where such an option is given for another host
 */
function withOnnxOptions({ head, train, ...asked }: z.output<typeof newRun>) {
  if (typeof asked.host === "string" && isOnnxReference(asked.host)) {
    const { file, options } = parseOnnxReference(asked.host);
    const { slots, ...rest } = asked;
    const all = { ...options, ...(head && { head }), ...(train && { train }), ...(slots && { slots }) };
    return { ...rest, host: onnxReference({ file, options: all }) };
  }
  const key = head ? "head" : train ? "train" : undefined;
  if (key === undefined) return asked;
  const problem = "is for a host from an ONNX file (onnx:<file>)";
  throw new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}

/** What `checkpointEvery` says, as the trainer takes it. */
export function checkpointInterval({
  checkpointEvery,
}: Pick<GrowConfig, "checkpointEvery">): CheckpointInterval {
  const [, count, unit = ""] = INTERVAL.exec(checkpointEvery) ?? [];
  const ms = UNIT_MS[unit];
  return ms === undefined ? { steps: Number(count) } : { ms: Number(count) * ms };
}

/** What `timeLimit` says, in milliseconds. */
export function timeLimitMs({ timeLimit }: Pick<GrowConfig, "timeLimit">): number | undefined {
  const [, count, unit = ""] = DURATION.exec(timeLimit ?? "") ?? [];
  return count === undefined ? undefined : Number(count) * (UNIT_MS[unit] ?? 1);
}

type ResumeConfig = Partial<GrowConfig> & { readonly resume: string; readonly adopt?: boolean };

/** What a resumed run is given besides its folder. @throws as {@link parseGrowOptions} */
export function parseResumeOptions(options: GrowOptions): ResumeConfig {
  const others = Object.keys(options).filter((key) => key in newRun.shape && !(key in resumedRun.shape));
  if (others.length > 0)
    throw new KasminaError(
      "invalid_argument",
      `a resumed run keeps its options; leave out ${others.join(", ")}`,
    );
  return parsed(resumedRun, options) as ResumeConfig;
}

interface Absolute {
  readonly absoluteModule: (reference: string) => string;
  readonly absolutePath: (path: string) => string;
}

/**
 * The part of a configuration that can be written down: code by its name, the rest as it is.
 *
 * @param absolute makes what it names hold from any working folder
 */
export function recordedConfig(
  config: GrowConfig,
  { absoluteModule, absolutePath }: Absolute,
): Readonly<Record<string, unknown>> {
  const named = (one: { readonly id: string } | string): string =>
    typeof one === "string" ? absoluteName(one, absoluteModule) : one.id;
  const names: Readonly<Record<string, unknown>> = {
    data: nameOf(config.data),
    host: named(config.host),
    engine: typeof config.engine === "string" ? config.engine : config.engine.name,
    policy: typeof config.policy === "string" ? config.policy : config.policy.version,
    from: config.from && absolutePath(config.from),
    teacher: config.teacher && absolutePath(config.teacher),
    catalog: config.catalog && absolutePath(config.catalog),
    blueprint: named(config.blueprint),
    blueprints: config.blueprints?.map(named),
  };
  const keys = Object.keys(RECORDED) as (keyof typeof RECORDED)[];
  return Object.fromEntries(keys.map((key) => [key, key in names ? names[key] : config[key]]));
}

function absoluteName(name: string, absolute: (reference: string) => string): string {
  return isModuleReference(name) || isOnnxReference(name) ? absolute(name) : name;
}

export function nameOf(given: Dataset | DatasetArrays | string): string {
  return typeof given === "string" ? given : (given.name ?? "arrays");
}

function defaultsFor(
  given: Dataset | DatasetArrays | string,
): Partial<DataDefaults> & Omit<DataDefaults, "batch"> {
  const known = typeof given === "string" ? DATA_DEFAULTS.get(given.split(/[:?]/)[0] ?? "") : undefined;
  if (known) return known;
  const areTokens = typeof given !== "string" && given.train.inputs instanceof Int32Array;
  const { host, epochs } = areTokens ? OWN_TOKENS : OTHER_DATA;
  return { host, epochs };
}

function parsed<T extends z.ZodObject>(schema: T, options: unknown): z.output<T> {
  // What is undefined is left out, as JavaScript has it.
  const given = isRecord(options)
    ? Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
    : options;
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw firstProblem(result.error.issues[0], given, Object.keys(schema.shape));
}

function firstProblem(
  issue: z.core.$ZodIssue | undefined,
  options: unknown,
  known: readonly string[],
): KasminaError {
  if (issue?.code === "unrecognized_keys")
    return new KasminaError(
      "invalid_argument",
      `unknown key ${issue.keys.join(", ")}; known are ${known.join(", ")}`,
    );
  const key = String(issue?.path[0] ?? "");
  if (!issue || key === "")
    return new KasminaError("invalid_argument", "the options of a run must be an object");
  const value = (options as Readonly<Record<string, unknown>>)[key];
  const problem =
    value === undefined ? `is missing: it ${issue.message}` : `${issue.message}, got ${shown(value)}`;
  return new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}

function shown(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list that holds something else";
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  return isRecord(value) && methods.every((name) => isFunction(value[name]));
}
