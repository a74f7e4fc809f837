/** `kasmina catalog`: build, list, verify, add and harvest kernels. */
import type { Command } from "commander";
import { KasminaError, printable } from "../../base/index.js";
import {
  Catalog,
  type CatalogEntry,
  enginePrewarmer,
  KernelBuilder,
  readArtifactFolder,
} from "../../catalog/index.js";
import { ENGINE_CHOICES, type EngineChoice, openBackend } from "../../engine/index.js";
import { builtinBlueprints } from "../../nn/index.js";
import { harvestSeed } from "../../weatherlight/folder/harvest.js";
import { EXIT } from "../terminal/exit.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

interface CatalogFlags {
  readonly catalog: string;
  readonly json?: boolean;
}

interface BuildFlags extends CatalogFlags {
  readonly shape: readonly number[];
  readonly param: Readonly<Record<string, number>>;
  readonly initSeed: number;
  readonly engine: string;
}

type Done = (exitCode: number) => void;

export function addCatalog(command: Command, io: Io, done: Done): void {
  command.helpCommand(false);
  const add = (usage: string, summary: string): Command =>
    command
      .command(usage)
      .description(summary)
      .option("--catalog <dir>", "folder of the catalog", io.env.KASMINA_CATALOG ?? "catalog")
      .option("--json", "print one JSON object a line");

  add("build <blueprint>", "build, prewarm and publish a kernel")
    .requiredOption("--shape <sizes>", "of the slot's activation, such as 64 or 28,28,16", toShape)
    .option("--param <name=value>", "a parameter of the blueprint; may be repeated", addParameter, {})
    .option("--init-seed <n>", "random seed of the initial weights", toWholeNumber, 0)
    .option("--engine <name>", "to prewarm on: auto, native, wasm", "auto")
    .action(async (blueprint: string, flags: BuildFlags) => done(await build(blueprint, flags, io)));
  add("list", "show what a catalog holds").action(async (flags: CatalogFlags) => done(await list(flags, io)));
  add("verify", "read and check every artifact").action(async (flags: CatalogFlags) =>
    done(await verify(flags, io)),
  );
  add("add <artifact-dir>", "check an artifact from elsewhere and publish it here").action(
    async (path: string, flags: CatalogFlags) => done(await addArtifact(path, flags, io)),
  );
  add("harvest <run-dir> <seed>", "publish the weights of a fossilized seed")
    .option("--engine <name>", "to prewarm on: auto, native, wasm", "auto")
    .action(async (runDir: string, seedId: string, flags: CatalogFlags & { readonly engine: string }) =>
      done(await harvest(runDir, seedId, flags, io)),
    );
}

async function build(blueprintId: string, flags: BuildFlags, io: Io): Promise<number> {
  const { shape: slotShape, param: parameters, initSeed } = flags;
  const provide = (builder: KernelBuilder): Promise<CatalogEntry> =>
    builder.provide({ blueprintId, slotShape, parameters, initSeed });
  show([await withBuilder(flags, provide)], flags, io);
  return EXIT.done;
}

async function harvest(
  runDir: string,
  seedId: string,
  flags: CatalogFlags & { readonly engine: string },
  io: Io,
): Promise<number> {
  show([await withBuilder(flags, (builder) => harvestSeed({ runDir, seedId, builder }))], flags, io);
  return EXIT.done;
}

async function list(flags: CatalogFlags, io: Io): Promise<number> {
  const { entries, problems } = await (await Catalog.open(flags.catalog, { create: false })).list();
  show(entries, flags, io);
  for (const { ref, problem } of problems) say(io, `${ref}: ${problem}`);
  return EXIT.done;
}

async function verify(flags: CatalogFlags, io: Io): Promise<number> {
  const checks = await (await Catalog.open(flags.catalog, { create: false })).verify();
  for (const { ref, problem } of checks) {
    const line = flags.json
      ? JSON.stringify({ ref, ok: problem === undefined, problem: problem ?? null })
      : printable(problem === undefined ? `ok  ${ref}` : `BAD ${ref}: ${problem}`);
    io.stdout.write(`${line}\n`);
  }
  const bad = checks.filter(({ problem }) => problem !== undefined).length;
  if (!flags.json) io.stderr.write(`${checks.length - bad} sound, ${bad} not\n`);
  return bad === 0 ? EXIT.done : EXIT.failed;
}

async function addArtifact(path: string, flags: CatalogFlags, io: Io): Promise<number> {
  const artifact = await readArtifactFolder(path);
  const { blueprint: id, form, parameters, slotShape, weights } = artifact.manifest;
  const blueprint = builtinBlueprints.get(id);
  const expected = Object.entries(blueprint.parameters(slotShape, parameters));
  const fits = expected.every(([name, spec]) => weights.shapes[name]?.join() === spec.shape.join());
  if (form !== blueprint.form || !fits || expected.length !== Object.keys(weights.shapes).length)
    throw new KasminaError("invalid_data", `${path} is not what blueprint ${id} is here`);
  show([await (await Catalog.open(flags.catalog)).publish(artifact)], flags, io);
  return EXIT.done;
}

async function withBuilder<T>(
  flags: CatalogFlags & { readonly engine: string },
  work: (builder: KernelBuilder) => Promise<T>,
): Promise<T> {
  const { backend } = await openBackend(engineFrom(flags.engine));
  try {
    const catalog = await Catalog.open(flags.catalog);
    const prewarm = enginePrewarmer(backend);
    return await work(
      new KernelBuilder({ catalog, blueprints: builtinBlueprints, prewarm, creator: "kasmina catalog" }),
    );
  } finally {
    await backend.dispose();
  }
}

function show(entries: readonly CatalogEntry[], { json }: CatalogFlags, io: Io): void {
  if (json) {
    for (const { ref, sha256, manifest } of entries)
      io.stdout.write(`${JSON.stringify({ ref, sha256, ...manifest })}\n`);
    return;
  }
  const rows = entries.map(({ ref, manifest }) => [
    ref,
    Object.entries(manifest.parameters)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
    `[${manifest.slotShape.join(", ")}]`,
    manifest.prewarm.p95Ms.toFixed(2),
    manifest.origin.kind,
  ]);
  const header = ["artifact", "parameters", "slot", "p95 ms", "origin"];
  const lines = formatTable([header, ...rows], ["left", "left", "left", "right", "left"]);
  io.stdout.write(`${lines.join("\n")}\n`);
}

function engineFrom(name: string): EngineChoice {
  const choice = ENGINE_CHOICES.find((known) => known === name);
  if (!choice) throw wrong("engine", `must be one of ${ENGINE_CHOICES.join(", ")}, got "${name}"`);
  return choice;
}

function toShape(text: string): number[] {
  const sizes = text.split(",").map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size > 0)) return sizes;
  throw wrong("shape", `must be whole numbers separated by commas, got "${text}"`);
}

function addParameter(text: string, known: Readonly<Record<string, number>>): Record<string, number> {
  const [name = "", value = "", ...rest] = text.split("=");
  if (name === "" || value.trim() === "" || rest.length > 0 || !Number.isFinite(Number(value)))
    throw wrong("param", `must be name=value with a number, got "${text}"`);
  return { ...known, [name]: Number(value) };
}

function toWholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw wrong("initSeed", `must be a whole number in 0..4294967295, got "${text}"`);
}

function wrong(key: string, problem: string): KasminaError {
  return new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}
