/** `kasmina catalog`: build, list, verify, sign, add and harvest kernels. */
import type { Command } from "commander";
import { KasminaError, messageOf, printable } from "../../base/index.js";
import { environmentWithKeys } from "../../base/quiet-runtime.node.js";
import {
  type ArtifactCheck,
  Catalog,
  type CatalogEntry,
  checkSignature,
  enginePrewarmer,
  KernelBuilder,
  readArtifactFolder,
  type SignatureCheck,
  signArtifact,
} from "../../catalog/index.js";
import type { KeyRing } from "../../contracts/index.js";
import { hasKeyFile, KEYS_VARIABLE, loadKeys } from "../../contracts/index.node.js";
import { ENGINE_CHOICES, type EngineChoice, openBackend } from "../../engine/index.js";
import { builtinBlueprints } from "../../nn/index.js";
import { KEY_FILE_VARIABLE } from "../../weatherlight/control/run-keys.js";
import { harvestSeed } from "../../weatherlight/folder/harvest.js";
import { EXIT } from "../terminal/exit.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";
import { fileOf } from "./keys.js";

interface CatalogFlags {
  readonly catalog: string;
  readonly keyFile?: string;
  readonly json?: boolean;
}

interface SignatureFlags extends CatalogFlags {
  readonly requireSignature?: boolean;
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
      .option(
        "--key-file <path>",
        `keys that vouch for kernels (default: ${KEY_FILE_VARIABLE}, else kasmina.keys)`,
      )
      .option("--json", "print one JSON object a line");
  const requireSignature = ["--require-signature", "refuse what no key of the key file vouches for"] as const;

  add("build <blueprint>", "build, prewarm and publish a kernel")
    .requiredOption("--shape <sizes>", "of the slot's activation, such as 64 or 28,28,16", toShape)
    .option("--param <name=value>", "a parameter of the blueprint; may be repeated", addParameter, {})
    .option("--init-seed <n>", "random seed of the initial weights", toWholeNumber, 0)
    .option("--engine <name>", "to prewarm on: auto, native, wasm, gpu, gpu:cuda", "auto")
    .action(async (blueprint: string, flags: BuildFlags) => done(await build(blueprint, flags, io)));
  add("list", "show what a catalog holds").action(async (flags: CatalogFlags) => done(await list(flags, io)));
  add("verify", "read and check every artifact, and its signature")
    .option(...requireSignature)
    .action(async (flags: SignatureFlags) => done(await verify(flags, io)));
  add("sign <artifact>", "vouch for an artifact, <blueprint>/<sha256>, with the key that signs").action(
    async (ref: string, flags: CatalogFlags) => done(await sign(ref, flags, io)),
  );
  add("add <artifact-dir>", "check an artifact from elsewhere and publish it here")
    .option(...requireSignature)
    .action(async (path: string, flags: SignatureFlags) => done(await addArtifact(path, flags, io)));
  add("harvest <run-dir> <seed>", "publish the weights of a fossilized seed")
    .option("--engine <name>", "to prewarm on: auto, native, wasm, gpu, gpu:cuda", "auto")
    .action(async (runDir: string, seedId: string, flags: CatalogFlags & { readonly engine: string }) =>
      done(await harvest(runDir, seedId, flags, io)),
    );
}

async function build(blueprintId: string, flags: BuildFlags, io: Io): Promise<number> {
  const { shape: slotShape, param: parameters, initSeed } = flags;
  const provide = (builder: KernelBuilder): Promise<CatalogEntry> =>
    builder.provide({ blueprintId, slotShape, parameters, initSeed });
  await show([await withBuilder(flags, provide)], flags, io);
  return EXIT.done;
}

async function harvest(
  runDir: string,
  seedId: string,
  flags: CatalogFlags & { readonly engine: string },
  io: Io,
): Promise<number> {
  await show([await withBuilder(flags, (builder) => harvestSeed({ runDir, seedId, builder }))], flags, io);
  return EXIT.done;
}

async function list(flags: CatalogFlags, io: Io): Promise<number> {
  const { entries, problems } = await (await Catalog.open(flags.catalog, { create: false })).list();
  await show(entries, flags, io);
  for (const { ref, problem } of problems) say(io, `${ref}: ${problem}`);
  return EXIT.done;
}

async function verify(flags: SignatureFlags, io: Io): Promise<number> {
  const catalog = await Catalog.open(flags.catalog, { create: false });
  const keys = keysOf(flags, io);
  const checks: ArtifactCheck[] = [];
  for (const check of await catalog.verify()) {
    const problem = check.problem ?? (await signatureProblem(catalog, check.ref, flags, keys));
    checks.push({ ref: check.ref, ...(problem !== undefined && { problem }) });
  }
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

async function signatureProblem(
  catalog: Catalog,
  ref: string,
  { requireSignature }: SignatureFlags,
  keys: KeyRing | undefined,
): Promise<string | undefined> {
  const { state, problem } = await signatureIn(catalog, ref, keys);
  return requireSignature || state === "bad" ? problem : undefined;
}

/** What lies there and is no file of ours is a bad signature, not the end of a listing. */
async function signatureIn(
  catalog: Catalog,
  ref: string,
  keys: KeyRing | undefined,
): Promise<SignatureCheck> {
  try {
    return checkSignature(ref.split("/")[1] ?? "", await catalog.signatureOf(ref), keys);
  } catch (error) {
    return { state: "bad", problem: messageOf(error) };
  }
}

async function sign(ref: string, flags: CatalogFlags, io: Io): Promise<number> {
  const catalog = await Catalog.open(flags.catalog, { create: false });
  const signature = signArtifact(loadKeys(fileOf(flags.keyFile, io)), ref.split("/")[1] ?? "");
  await show([await catalog.sign(ref, signature)], flags, io);
  return EXIT.done;
}

/** Undefined where there are none, and none were asked for: then nobody's signature is known. */
function keysOf({ keyFile, requireSignature }: SignatureFlags, io: Io): KeyRing | undefined {
  const path = fileOf(keyFile, io);
  const isAsked = keyFile !== undefined || requireSignature || environmentWithKeys()[KEYS_VARIABLE];
  return isAsked || hasKeyFile(path) ? loadKeys(path) : undefined;
}

async function addArtifact(path: string, flags: SignatureFlags, io: Io): Promise<number> {
  const artifact = await readArtifactFolder(path);
  const signature = checkSignature(artifact.sha256, artifact.signature, keysOf(flags, io));
  if (signature.problem !== undefined && (flags.requireSignature || signature.state === "bad"))
    throw new KasminaError("invalid_data", `${path}: ${signature.problem}`);
  const { blueprint: id, form, parameters, slotShape, weights } = artifact.manifest;
  const blueprint = builtinBlueprints.get(id);
  const expected = Object.entries(blueprint.parameters(slotShape, parameters));
  const fits = expected.every(([name, spec]) => weights.shapes[name]?.join() === spec.shape.join());
  if (form !== blueprint.form || !fits || expected.length !== Object.keys(weights.shapes).length)
    throw new KasminaError("invalid_data", `${path} is not what blueprint ${id} is here`);
  await show([await (await Catalog.open(flags.catalog)).publish(artifact)], flags, io);
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

async function show(entries: readonly CatalogEntry[], flags: CatalogFlags, io: Io): Promise<void> {
  const catalog = await Catalog.open(flags.catalog, { create: false });
  const keys = keysOf(flags, io);
  const signatures = await Promise.all(entries.map(({ ref }) => signatureIn(catalog, ref, keys)));
  if (flags.json) {
    for (const [at, { ref, sha256, manifest }] of entries.entries()) {
      const { state = "unsigned", keyId = null } = signatures[at] ?? {};
      const signature = { state, key_id: keyId };
      io.stdout.write(`${JSON.stringify({ ref, sha256, ...manifest, signature })}\n`);
    }
    return;
  }
  const rows = entries.map(({ ref, manifest }, at) => [
    ref,
    Object.entries(manifest.parameters)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
    `[${manifest.slotShape.join(", ")}]`,
    manifest.prewarm.p95Ms.toFixed(2),
    manifest.origin.kind,
    printable(manifest.creator),
    signedBy(signatures[at]),
  ]);
  const header = ["artifact", "parameters", "slot", "p95 ms", "origin", "maker", "signed by"];
  const lines = formatTable([header, ...rows], ["left", "left", "left", "right", "left", "left", "left"]);
  io.stdout.write(`${lines.join("\n")}\n`);
}

function signedBy({ state, keyId = "" }: SignatureCheck = { state: "unsigned" }): string {
  const key = printable(keyId);
  return { signed: key, unsigned: "nobody", unknown: `${key} (not known here)`, bad: "does not hold" }[state];
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
