/** The network of a run, from its folder. */
import { writeFileAtomically } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import { type AnyDataset, taskOf } from "../../contracts/index.js";
import { openBackend } from "../../engine/index.js";
import { checkTeacher } from "../../network/index.js";
import { type Blueprint, BlueprintRegistry, type Host } from "../../nn/index.js";
import { readCheckpoint } from "../folder/checkpoint.js";
import { dataMetadata, dataReading } from "../folder/data-record.js";
import { runFileOf } from "../folder/run-file.js";
import { readRunFolder, readTokenizer } from "../folder/run-folder.js";
import { checkpointMetaOf, fromSaved, refuseWrecked } from "../folder/saved-checkpoint.js";
import { summaryOf } from "../folder/summary-file.js";
import { GrownNetwork } from "../grow/grown-network.js";
import type { GrowConfig } from "./grow-config.js";
import { loadModule } from "./load-module.node.js";
import { isModuleReference } from "./module-reference.js";
import type { RunParent, RunTeacher } from "./platform.js";
import { checkCode, openBlueprints, openHost, recordCode, type Sources, withGivenCode } from "./sources.js";
import { journalIn, refuseForeignHost } from "./vouched.node.js";

/** Code of the run that its folder cannot hold. */
export interface GivenCode {
  /** The run's host, where it was given in code or lies in a module: no code is loaded because a folder names it. */
  readonly host?: Host | string;
  /** Those of the run's blueprints that were given in code or lie in a module. */
  readonly blueprints?: readonly (Blueprint | string)[];
}

/**
 * Reads the network of a run from its checkpoint, to predict with or to export.
 *
 * @throws KasminaError `invalid_argument` where `path` holds no run, or code of the run is missing or has changed; `corrupt`
 * where its checkpoint is damaged, `loss_not_finite` where the network is wrecked
 * @example
 * const network = await readGrownNetwork("runs/x", { host });
 * await network.toOnnx("grown.onnx");
 */
export async function readGrownNetwork(path: string, given: GivenCode = {}): Promise<GrownNetwork> {
  return (await openNetwork(path, given)).grown;
}

async function openNetwork(path: string, given: GivenCode) {
  const { path: folder, about, aboutSha256, checkpointPath, summary } = await readRunFolder(path);
  const { config, sources, data, run_id: runId, parent } = runFileOf(about, folder);
  refuseForeignHost({ config }, () => journalIn(folder, runId, aboutSha256).problem, given);
  const saved = await readCheckpoint(checkpointPath);
  const { network } = checkpointMetaOf(saved.meta);
  const { input_shape: inputShape, input_dtype: inputDType, classes, id } = network.host;
  const known = withGivenCode({ config, sources: { ...sources, data: undefined, policy: undefined } }, given);
  const host = await openHost(
    (known.host ?? id) as Host | string,
    { inputShape, inputDType, classes, task: data?.task },
    loadModule,
  );
  const blueprints = await openBlueprints(
    known.blueprints as readonly (Blueprint | string)[] | undefined,
    String(known.blueprint ?? "auto"),
    loadModule,
  );
  checkCode(sources, recordCode(host, blueprints, Number(config.seed ?? 0)));
  const tokenizer = data?.tokenizer_sha256 && (await readTokenizer(folder, data.tokenizer_sha256));
  const grown = new GrownNetwork({
    host: host.value,
    blueprints: new BlueprintRegistry(blueprints.map(({ value }) => value)),
    checkpoint: fromSaved(saved),
    runId,
    checkpointSha256: saved.sha256,
    ...(parent !== undefined && { parent }),
    task: data?.task,
    targets: data?.targets,
    threshold: summary === undefined ? undefined : summaryOf(summary, folder).threshold,
    ...(data && { metadata: dataMetadata(data, tokenizer), reading: dataReading(data) }),
    ...(data?.class_names && { classNames: data.class_names }),
    ...(tokenizer !== undefined && { tokenizer }),
    services: {
      openEngine: async () => ({ backend: (await openBackend("auto")).backend, owned: true }),
      writeFile,
    },
  });
  refuseWrecked(network, grown.parameters, path);
  return { grown, saved, runId, data };
}

/**
 * The run whose network another one goes on from.
 * @throws as {@link readGrownNetwork}
 */
export async function readParent(path: string, config: GrowConfig): Promise<RunParent> {
  const { host } = config;
  const own = { ...modulesNamedBy(config), ...(typeof host !== "string" && { host }) };
  const { saved, runId, data } = await openNetwork(path, own);
  return { runId, sha256: saved.sha256, checkpoint: saved, data };
}

/**
 * The teacher of a run: the grown network of another one, frozen.
 *
 * @param recordedSha256 the digest of the checkpoint that a run which goes on began with
 * @throws KasminaError `invalid_data` where the teacher has changed since
 */
export async function readTeacher(
  path: string,
  { distillTemperature, distillWeight, ...own }: GrowConfig,
  { host, dataset }: Pick<Sources, "host" | "dataset">,
  recordedSha256?: string,
): Promise<RunTeacher> {
  const grown = await readGrownNetwork(path, modulesNamedBy(own));
  const { topology, parameters, blendWeights, metadata } = grown;
  const sha256 = metadata.checkpoint_sha256;
  if (recordedSha256 !== undefined && recordedSha256 !== sha256)
    throw new KasminaError("invalid_data", `the teacher in ${path} has changed since the run began`);
  const teacher = { id: metadata.training_run_id ?? path, topology };
  checkTeacher(teacher, host);
  checkTask(teacher.id, grown, dataset);
  const tensors = { ...parameters, ...blendWeights };
  return { ...teacher, tensors, temperature: distillTemperature, weight: distillWeight, sha256 };
}

/** @throws KasminaError `invalid_argument` for a teacher whose outputs stand for something else */
function checkTask(id: string, grown: GrownNetwork, dataset: AnyDataset): void {
  const { task, targets, tokenizer, classNames } = grown;
  const wanted = taskOf(dataset);
  if (task !== wanted)
    throw new KasminaError("invalid_argument", `teacher ${id} is of a ${task}, the data are for a ${wanted}`);
  const isOfSameTokens = tokenizer === dataset.tokenizer && `${classNames}` === `${dataset.classNames}`;
  if (task === "next-token" && !isOfSameTokens)
    throw new KasminaError("invalid_argument", `teacher ${id} has learned from other characters or tokens`);
  if (JSON.stringify(targets) === JSON.stringify(dataset.targets)) return;
  throw new KasminaError(
    "invalid_argument",
    `teacher ${id} predicts other targets, or has them scaled by other rows: it must have learned from the same data`,
  );
}

/** A teacher may be made of the modules that the run itself is made of: whoever began it has named them. */
function modulesNamedBy({
  host,
  blueprint,
  blueprints = [],
}: Pick<GrowConfig, "host" | "blueprint" | "blueprints">) {
  return {
    ...(typeof host === "string" && isModuleReference(host) && { host }),
    blueprints: [...blueprints, blueprint],
  };
}

/** @throws KasminaError `io` where the file cannot be written */
export async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  await writeFileAtomically(path, bytes).catch((error: unknown) => {
    throw new KasminaError("io", `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  });
}
