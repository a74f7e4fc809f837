/**
 * What a sweep is to try (docs/sweeps.md): a file that names options of `kasmina grow`, some with one value for all runs, some with
 * several. Every combination is a variant, and every variant is run with every seed, so that variants can be compared in pairs.
 */
import { z } from "zod";
import { KasminaError, Random } from "../../base/index.js";

/** Runs of one sweep: beyond it a mistake is likelier than a wish. */
export const MAX_RUNS = 10_000;
/** Options that a sweep sets itself, or that make no sense in many runs at once. */
const OWN: ReadonlySet<string> = new Set([
  ..."seed run-dir resume adopt json quiet metrics dashboard dry-run help".split(" "),
]);

const value = z.union([z.string(), z.number(), z.boolean()]);
/** An option of `kasmina grow`, without its dashes. */
const name = z.string();
const bounds = z
  .tuple([z.number(), z.number()])
  .refine(([low, high]) => low < high, "must be two numbers, the lesser first");
const positive = bounds.refine(([low]) => low > 0, "must be two numbers above 0");
const distribution = z.union([
  z.strictObject({ uniform: bounds }),
  z.strictObject({ log_uniform: positive }),
  z.strictObject({ integer: bounds }),
  z.strictObject({ choice: z.array(value).min(1) }),
]);

const schema = z.strictObject({
  /** Of every run. */
  options: z.record(name, value).default({}),
  /** Every combination of these. */
  grid: z.record(name, z.array(value).min(1)).default({}),
  /** So many draws of these, beside each combination of the grid. */
  random: z
    .strictObject({
      samples: z.int().min(1).max(MAX_RUNS),
      seed: z.int().min(0).max(0xffff_ffff).default(0),
      options: z.record(name, distribution),
    })
    .optional(),
  /** What `--seed` is in the runs of each variant. */
  seeds: z.array(z.int().min(0).max(0xffff_ffff)).min(1).default([0]),
});
export type SweepFile = z.infer<typeof schema>;
type Value = z.infer<typeof value>;

/** What is tried: options and their values. */
export type Variant = Readonly<Record<string, Value>>;

export interface SweepRun {
  /** `v000-s0`: its variant and its seed; the name of its folder. */
  readonly id: string;
  readonly variant: number;
  readonly seed: number;
  /** Of `kasmina grow`, without the folder. */
  readonly args: readonly string[];
}

export interface Sweep {
  readonly variants: readonly Variant[];
  readonly runs: readonly SweepRun[];
}

/**
 * @param known options of `kasmina grow`, without their dashes
 * @throws KasminaError `invalid_data` naming what is wrong
 */
export function parseSweep(text: string, path: string, known: ReadonlySet<string>): Sweep {
  const file = read(text, path);
  const names = [file.options, file.grid, file.random?.options ?? {}].flatMap(Object.keys);
  for (const [at, option] of names.entries()) {
    if (names.indexOf(option) !== at) throw wrong(path, `names ${option} twice`);
    if (OWN.has(option)) throw wrong(path, `must not name ${option}: a sweep sees to that`);
    if (!known.has(option)) throw wrong(path, `names ${option}, which is no option of \`kasmina grow\``);
  }
  const variants = variantsOf(file);
  if (variants.length * file.seeds.length > MAX_RUNS)
    throw wrong(path, `asks for ${variants.length * file.seeds.length} runs, ${MAX_RUNS} are allowed`);
  if (new Set(file.seeds).size !== file.seeds.length) throw wrong(path, "names a seed twice");
  const runs = variants.flatMap((variant, at) =>
    file.seeds.map((seed) => ({
      id: `${variantName(at)}-s${seed}`,
      variant: at,
      seed,
      args: [...argsOf(file.options), ...argsOf(variant), "--seed", String(seed)],
    })),
  );
  return { variants, runs };
}

/** `v000`, `v001`, … */
export function variantName(variant: number): string {
  return `v${String(variant).padStart(3, "0")}`;
}

function read(text: string, path: string): SweepFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new KasminaError("invalid_data", `${path} is not JSON`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join(".") || "the file";
  throw wrong(path, `is no sweep: ${where}: ${issue?.message}`);
}

function variantsOf({ grid, random }: SweepFile): Variant[] {
  const combinations = Object.entries(grid).reduce<Variant[]>(
    (variants, [option, values]) =>
      variants.flatMap((variant) => values.map((one) => ({ ...variant, [option]: one }))),
    [{}],
  );
  if (!random) return combinations;
  const draws = Array.from({ length: random.samples }, (_, at) => draw(random, at));
  return combinations.flatMap((variant) => draws.map((drawn) => ({ ...variant, ...drawn })));
}

/** A function of seed, number and option alone: more samples leave those before as they were. */
function draw({ seed, options }: NonNullable<SweepFile["random"]>, at: number): Variant {
  return Object.fromEntries(
    Object.entries(options).map(([option, how]) => [
      option,
      drawn(how, Random.forLabel(seed, `${option} ${at}`).uniform()),
    ]),
  );
}

/** @param x 0 to 1, 1 excluded */
function drawn(how: z.infer<typeof distribution>, x: number): Value {
  if ("choice" in how) return how.choice[Math.floor(x * how.choice.length)] ?? "";
  if ("uniform" in how) return rounded(how.uniform[0] + x * (how.uniform[1] - how.uniform[0]));
  if ("log_uniform" in how) {
    const [low, high] = how.log_uniform.map(Math.log) as [number, number];
    return rounded(Math.exp(low + x * (high - low)));
  }
  const [low, high] = how.integer;
  return Math.ceil(low) + Math.floor(x * (Math.floor(high) - Math.ceil(low) + 1));
}

/** Four digits: what is typed again by hand is the same. */
function rounded(number: number): number {
  return Number(number.toPrecision(4));
}

function argsOf(options: Variant): string[] {
  return Object.entries(options).flatMap(([option, one]) => {
    if (one === true) return [`--${option}`];
    return one === false ? [] : [`--${option}`, String(one)];
  });
}

function wrong(path: string, problem: string): KasminaError {
  return new KasminaError("invalid_data", `${path} ${problem}`);
}
