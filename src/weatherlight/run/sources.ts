/**
 * Host, data and blueprints of a run, wherever they come from: built in, by name, from a module, or code of the program
 * itself. What `run.json` records of them is held against what a resumed run is given.
 */
import { KasminaError, sha256Hex } from "../../base/index.js";
import {
  type AnyDataset,
  type Dataset,
  encodeSafetensors,
  resolveParameters,
  TASK_TRAITS,
  type TaskId,
  taskOf,
} from "../../contracts/index.js";
import { type DatasetArrays, datasetFromArrays } from "../../data/arrays.js";
import { type TracedProgram, trace } from "../../engine/index.js";
import { forwardProgram, kernelProgram } from "../../network/index.js";
import {
  type Blueprint,
  BlueprintRegistry,
  builtins,
  createHost,
  defineHost,
  type Host,
  initHost,
  labelShape,
  slotsOf,
} from "../../nn/index.js";
import type { ModuleSource } from "../../tolaria/index.js";
import type { DataRecord } from "../folder/data-record.js";
import type { BlueprintRecord, HostRecord, RunFile, SourceRecords } from "../folder/run-file.js";
import { type GrowConfig, nameOf } from "./grow-config.js";
import { isModuleReference, parseModuleReference } from "./module-reference.js";
import { isOnnxReference } from "./onnx-reference.js";

/** An export of a file of one's own. */
export interface LoadedModule {
  readonly value: unknown;
  /** Absolute path, the export's name, and the file's digest. */
  readonly file: string;
  readonly name: string;
  readonly sha256: string;
  /** By which another process or thread loads it. */
  readonly url: string;
  /** What its function is given before the task. */
  readonly args?: readonly unknown[];
}

export type ModuleLoader = (reference: string) => Promise<LoadedModule>;

export interface OpenedData {
  readonly dataset: AnyDataset;
  readonly record: DataRecord | undefined;
  /** Of what does not lie in memory. */
  close?(): Promise<void>;
}

/** How the sources of a run are come by on this machine. */
export interface SourceLoaders {
  readonly loadModule: ModuleLoader;
  /**
   * Data by name, or as they are, and what they are known by where that is known.
   * @param recorded what a run that goes on began with
   * @param folder of the run, which takes what does not fit into memory; undefined where there is none
   */
  readonly openData: (given: Dataset | string, recorded?: DataRecord, folder?: string) => Promise<OpenedData>;
}

/** A piece of a run, and how another process can come by it. */
interface Piece<T> {
  readonly value: T;
  /** Undefined: it is built in. */
  readonly module?: LoadedModule | "code";
}

/** What a run is made of. */
export interface Sources {
  readonly dataset: AnyDataset;
  /** What the data are known by; undefined in a browser. */
  readonly data: DataRecord | undefined;
  readonly host: Host;
  readonly blueprints: BlueprintRegistry;
  /** Blueprints that did not come with Kasmina. */
  readonly ownBlueprints: readonly string[];
  /** The id of the one blueprint that was asked for; `auto`: none was. */
  readonly askedBlueprint: string;
  /** How another process loads them; undefined where it cannot, because it is code of this program. */
  readonly hostModule: ModuleSource | "built-in" | undefined;
  readonly blueprintModules: readonly ModuleSource[] | undefined;
  /** Of the file that the host is from, where it is from one. */
  readonly hostFileSha256: string | undefined;
  /** For `run.json`. */
  readonly records: SourceRecords;
}

/** Rows with which hosts and kernels are traced, to see what they compute. */
const TRIED_ROWS = 2;

interface Task {
  readonly inputShape: readonly number[];
  readonly inputDType: Host["inputDType"];
  readonly classes: number;
  readonly task?: TaskId | undefined;
}

/**
 * Opens and checks them.
 *
 * @throws KasminaError `invalid_argument` for what is not there or does not fit, `invalid_data` for data that cannot be used
 */
export async function openSources(
  config: GrowConfig,
  { openData, loadModule: load }: SourceLoaders,
  recordedData?: DataRecord,
): Promise<Sources> {
  const { dataset, record: data } = await openData(
    typeof config.data === "string" ? config.data : datasetOf(config.data, config.task),
    recordedData,
    // Batches of one's own take data in memory.
    config.batches ? undefined : config.runDir,
  );
  const host = await openHost(config.host, dataset, load);
  checkFits(host.value, dataset);
  const blueprints = await openBlueprints(config.blueprints, config.blueprint, load);
  return {
    dataset,
    host: host.value,
    blueprints: new BlueprintRegistry(blueprints.map(({ value }) => value)),
    ownBlueprints: blueprints.flatMap(({ value, module }) => (module ? [value.id] : [])),
    askedBlueprint: askedBlueprint(config, blueprints),
    hostModule: host.module ? sourceOf(host.module, [hostTaskOf(dataset)]) : "built-in",
    blueprintModules: modulesOf(blueprints),
    data,
    hostFileSha256: host.module && host.module !== "code" ? host.module.sha256 : undefined,
    records: recordsOf(config, host, blueprints),
  };
}

function hostTaskOf({ inputShape, inputDType, classes }: Task): Task {
  return { inputShape, inputDType, classes };
}

/** @throws KasminaError `invalid_argument` where a whole dataset is of another task than asked for */
function datasetOf(given: Dataset | DatasetArrays, task: TaskId | undefined): Dataset {
  if (!("count" in given.train))
    return datasetFromArrays({ ...(given as DatasetArrays), ...(task && { task }) });
  const dataset = given as Dataset;
  if (task === undefined || taskOf(dataset) === task) return dataset;
  const problem = `must be ${taskOf(dataset)}, which the data are for`;
  throw new KasminaError("invalid_argument", `task ${problem}, got ${task}`, {
    details: { key: "task", problem },
  });
}

/** @param task what the host is for: the shapes of the data, or those that a checkpoint holds */
export async function openHost(given: Host | string, task: Task, load: ModuleLoader): Promise<Piece<Host>> {
  if (typeof given !== "string") return { value: tried(defineHost(given)), module: "code" };
  if (!isModuleReference(given) && !isOnnxReference(given))
    return { value: createHost(given, { ...hostTaskOf(task), task: task.task }) };
  const module = await load(given);
  const { value } = module;
  const host = (typeof value === "function" ? await value(hostTaskOf(task)) : value) as Host;
  if (!Array.isArray(host?.blocks))
    throw new KasminaError("invalid_argument", `${given} is not a host, nor a function that makes one`);
  return { value: tried(defineHost(host)), module };
}

/** The forward pass of a host alone. */
function hostProgram(host: Host): TracedProgram {
  return trace(forwardProgram({ host, sites: [], hostGradient: "detach" }, TRIED_ROWS));
}

/** Traces the host's forward pass once, so that a mistake in a block is reported before anything is written. */
function tried(host: Host): Host {
  try {
    hostProgram(host);
    return host;
  } catch (error) {
    throw error instanceof KasminaError && error.cause instanceof KasminaError ? error.cause : error;
  }
}

function askedBlueprint({ blueprint, blueprints }: GrowConfig, opened: readonly Piece<Blueprint>[]): string {
  if (!isModuleReference(blueprint)) return blueprint;
  // One that is not in the list was added at its end.
  return opened.at(blueprints?.indexOf(blueprint) ?? -1)?.value.id ?? blueprint;
}

/** Those of a run, in their order. */
export async function openBlueprints(
  given: readonly (Blueprint | string)[] | undefined,
  asked: string,
  load: ModuleLoader,
): Promise<Piece<Blueprint>[]> {
  const list = given ?? builtins;
  const all = isModuleReference(asked) && !list.includes(asked) ? [...list, asked] : list;
  return Promise.all(all.map((one) => openBlueprint(one, load)));
}

async function openBlueprint(given: Blueprint | string, load: ModuleLoader): Promise<Piece<Blueprint>> {
  if (typeof given !== "string")
    return builtins.includes(given) ? { value: given } : { value: given, module: "code" };
  if (!isModuleReference(given)) {
    const known = builtins.find(({ id }) => id === given);
    if (known) return { value: known };
    const ids = builtins.map(({ id }) => id).join(", ");
    throw new KasminaError("invalid_argument", `unknown blueprint ${given}; known: ${ids}`);
  }
  const module = await load(given);
  const value = module.value as Partial<Blueprint> | undefined;
  if (typeof value?.apply !== "function" || typeof value.parameters !== "function")
    throw new KasminaError("invalid_argument", `${given} is not a blueprint`);
  return { value: value as Blueprint, module };
}

function checkFits(host: Host, dataset: AnyDataset): void {
  const differs = (what: string, wants: unknown, has: unknown): never => {
    throw new KasminaError(
      "invalid_argument",
      `host ${host.id} does not fit ${dataset.name}: it ${what} ${wants}, the data ${has}`,
    );
  };
  const shape = (sizes: readonly number[]): string => `[${sizes.join(", ")}]`;
  const isOfValues = TASK_TRAITS[taskOf(dataset)].labels === "values";
  if (isOfValues && host.classes !== dataset.classes)
    differs("gives", `${host.classes} outputs`, `is to be told in ${dataset.classes}`);
  if (host.classes < dataset.classes)
    differs("tells apart", `${host.classes} classes`, `has ${dataset.classes}`);
  if (shape(host.inputShape) !== shape(dataset.inputShape))
    differs("takes rows of shape", shape(host.inputShape), `has ${shape(dataset.inputShape)}`);
  if (host.inputDType !== dataset.inputDType)
    differs("takes", host.inputDType, `holds ${dataset.inputDType}`);
  const given = isOfValues ? [...labelShape(host), host.classes] : labelShape(host);
  if (shape(given) !== shape(dataset.train.labelShape))
    differs("gives labels of shape", shape(given), `has ${shape(dataset.train.labelShape)}`);
}

function sourceOf(module: LoadedModule | "code", args: readonly unknown[]): ModuleSource | undefined {
  return module === "code"
    ? undefined
    : { module: module.url, name: module.name, args: [...(module.args ?? []), ...args] };
}

/** Of those that are no built-in ones; undefined where one is code. */
function modulesOf(blueprints: readonly Piece<Blueprint>[]): readonly ModuleSource[] | undefined {
  const own = blueprints.flatMap(({ module }) => (module ? [module] : []));
  if (own.includes("code")) return undefined;
  return own.flatMap((module) => (module === "code" ? [] : [{ module: module.url, name: module.name }]));
}

function recordsOf(
  config: GrowConfig,
  host: Piece<Host>,
  blueprints: readonly Piece<Blueprint>[],
): SourceRecords {
  // Only a folder remembers.
  if (config.runDir === undefined) return {};
  return {
    ...recordCode(host, blueprints, config.seed),
    ...(typeof config.data !== "string" && { data: { from: "code" as const, name: nameOf(config.data) } }),
    ...(typeof config.policy !== "string" && {
      policy: { from: "code" as const, version: config.policy.version },
    }),
  };
}

/** What host and blueprints are known by, but for built-in ones. */
export function recordCode(
  host: Piece<Host>,
  blueprints: readonly Piece<Blueprint>[],
  seed: number,
): SourceRecords {
  const own = blueprints.flatMap(({ value, module }) =>
    module ? [blueprintRecord(value, module, host.value)] : [],
  );
  return {
    ...(host.module && { host: hostRecord(host.value, host.module, seed) }),
    ...(own.length > 0 && { blueprints: own }),
  };
}

function originOf(module: LoadedModule | "code") {
  if (module === "code") return { from: "code" as const };
  const { file, name, sha256 } = module;
  return { from: "module" as const, file, export: name, file_sha256: sha256 };
}

function hostRecord(host: Host, module: LoadedModule | "code", seed: number): HostRecord {
  return {
    ...originOf(module),
    id: host.id,
    input_shape: [...host.inputShape],
    input_dtype: host.inputDType,
    classes: host.classes,
    blocks: host.blocks.map(({ name, outputShape, slot = false, parameters }) => ({
      name,
      output_shape: [...outputShape],
      slot,
      parameters: Object.fromEntries(
        Object.entries(parameters).map(([parameter, { shape }]) => [parameter, [...shape]]),
      ),
    })),
    parameters_sha256: sha256Hex(encodeSafetensors(initHost(host, seed))),
    program_sha256: hostProgram(host).digest,
  };
}

function blueprintRecord(blueprint: Blueprint, module: LoadedModule | "code", host: Host): BlueprintRecord {
  const { id, form } = blueprint;
  return { ...originOf(module), id, form, program_sha256: kernelDigest(blueprint, host) };
}

/** One that cannot be traced fails its gate, not the run. */
function kernelDigest(blueprint: Blueprint, host: Host): string | null {
  try {
    const slot = slotsOf(host).find(({ shape }) => blueprint.supports(shape));
    if (!slot) return null;
    return trace(kernelProgram(blueprint, slot.shape, resolveParameters(blueprint), TRIED_ROWS)).digest;
  } catch {
    return null;
  }
}

/**
 * Holds the code that a resumed or replayed run is given against what the run began with.
 *
 * @throws KasminaError `invalid_argument` naming the first difference
 */
export function checkCode(recorded: SourceRecords, present: SourceRecords): void {
  checkHost(recorded.host, present.host);
  for (const blueprint of recorded.blueprints ?? [])
    checkBlueprint(
      blueprint,
      present.blueprints?.find(({ id }) => id === blueprint.id),
    );
}

/** What a host must have in common with the one that a run began with, in the order in which it is reported. */
const HOST_TRAITS: { readonly [T in keyof HostRecord]?: string } = {
  id: "its id differs",
  input_shape: "it takes rows of another shape",
  input_dtype: "it takes other inputs",
  classes: "it tells apart another number of classes",
  blocks: "its blocks differ (names, output shapes, slots, or shapes of parameters)",
  file_sha256: "the file that it is in has changed",
  parameters_sha256: "its initial parameters differ",
  program_sha256: "it computes something else",
};

function checkHost(recorded: HostRecord | undefined, present: HostRecord | undefined): void {
  if (!recorded && !present) return;
  if (!recorded) throw differs(`host ${present?.id}`, "its host is a built-in one");
  const traits = Object.entries(HOST_TRAITS) as [keyof HostRecord, string][];
  const changed = traits.find(([t]) => JSON.stringify(recorded[t]) !== JSON.stringify(present?.[t]));
  if (changed) throw differs(`host ${recorded.id}`, changed[1]);
}

function checkBlueprint(recorded: BlueprintRecord, present: BlueprintRecord | undefined): void {
  const name = `blueprint ${recorded.id}`;
  if (!present) throw differs(name, "it is missing");
  if (recorded.file_sha256 !== present.file_sha256) throw differs(name, "the file that it is in has changed");
  if (recorded.form !== present.form || recorded.program_sha256 !== present.program_sha256)
    throw differs(name, "it computes something else");
}

function differs(what: string, how: string): KasminaError {
  return new KasminaError("invalid_argument", `${what} is not what the run began with: ${how}`);
}

/** What a resumed run's caller gives again. */
type GivenAgain = { readonly [K in "host" | "data" | "blueprints" | "policy"]?: GrowConfig[K] | undefined };

/**
 * The configuration of a run that began earlier, with the code that its folder cannot hold. Nor is code loaded because a folder
 * names it: a folder may come from anywhere, so whoever opens it names the module too.
 *
 * @param given what the caller gives again
 * @throws KasminaError `invalid_argument` naming the code that is missing
 */
export function withGivenCode(
  { config, sources, data }: Pick<RunFile, "config" | "sources" | "data">,
  given: GivenAgain,
): Readonly<Record<string, unknown>> {
  const again = (what: string, key: string): KasminaError =>
    new KasminaError("invalid_argument", `${what} of this run was given in code: give it again as "${key}"`);
  if (sources.host?.from === "code" && !given.host) throw again(`host ${sources.host.id}`, "host");
  if (isNamedModule(config.host) && !given.host) throw unnamed("host", config.host);
  if (sources.data && !given.data) throw again(`data ${sources.data.name}`, "data");
  if (sources.policy && !given.policy) throw again(`policy ${sources.policy.version}`, "policy");
  const inCode = new Set(sources.blueprints?.flatMap(({ id, from }) => (from === "code" ? [id] : [])));
  const namedAgain = (name: unknown): unknown =>
    isNamedModule(name) ? sameModule(name, given.blueprints ?? []) : name;
  const blueprints = (config.blueprints as readonly string[] | undefined)?.map((name) => {
    const found = given.blueprints?.find((one) => typeof one !== "string" && one.id === name);
    if (!found && inCode.has(name)) throw again(`blueprint ${name}`, "blueprints");
    return inCode.has(name) ? found : namedAgain(name);
  });
  return {
    ...config,
    data: given.data ?? data?.origin ?? config.data,
    ...(given.host && { host: given.host }),
    ...(given.policy && { policy: given.policy }),
    ...(config.blueprint !== undefined && { blueprint: namedAgain(config.blueprint) }),
    ...(blueprints && { blueprints }),
  };
}

function isNamedModule(name: unknown): name is string {
  return typeof name === "string" && isModuleReference(name);
}

/** The module that the caller names where the folder names `reference`: the same one, or where the same export lies by now. */
function sameModule(reference: string, given: readonly (Blueprint | string)[]): string {
  const modules = given.filter(isNamedModule);
  const exportOf = (one: string): string => parseModuleReference(one).name;
  const found =
    modules.find((one) => one === reference) ?? modules.find((one) => exportOf(one) === exportOf(reference));
  if (found === undefined) throw unnamed("blueprint", reference);
  return found;
}

function unnamed(what: "host" | "blueprint", reference: string): KasminaError {
  return new KasminaError(
    "invalid_argument",
    `the ${what} of this run is code in a file, which a folder alone does not get loaded: where you trust it, name it with --${what} ${reference}`,
  );
}
