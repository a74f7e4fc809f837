/** Growing on: what a run takes over of the run, or of the ONNX file, that it goes on from. */
import { platform } from "#platform";
import { KasminaError } from "../../base/index.js";
import { parameterSpecs } from "../../network/index.js";
import { type Inheritance, inheritanceOf } from "../../tolaria/index.js";
import { fromSaved } from "../folder/saved-checkpoint.js";
import { networkIn } from "../grow/run-outcome.js";
import type { GrowOptions } from "./grow-options.js";
import { onnxReference } from "./onnx-reference.js";
import type { RunParent } from "./platform.js";
import type { Sources } from "./sources.js";

export function isOnnxFile(from: string): boolean {
  return from.toLowerCase().endsWith(".onnx");
}

/**
 * The options of a run that begins, with what follows from the network that it goes on from.
 * @throws KasminaError `invalid_argument` where code of the parent is missing, or options contradict each other
 */
export async function withParentOptions(options: GrowOptions): Promise<GrowOptions> {
  const { from, keepOptimizer } = options;
  if (typeof from !== "string")
    return keepOptimizer === undefined ? options : refuse("keepOptimizer", "needs from");
  if (!isOnnxFile(from)) return { ...options, ...(await platform.parentOptions(from, options)) };
  const given = (["host", "head", "train", "keepOptimizer"] as const).find(
    (key) => options[key] !== undefined,
  );
  if (given)
    return refuse(
      given,
      `has no place beside from ${from}: the file is the host, its head is kept, and all of it learns`,
    );
  return { ...options, host: onnxReference({ file: from, options: { head: "keep", train: "all" } }) };
}

/**
 * What the run begins with of its parent.
 * @throws KasminaError `invalid_argument` where the parent's network does not fit the run's data, host or blueprints
 */
export function inherited(
  { runId, checkpoint, data }: RunParent,
  { host, blueprints, data: own }: Sources,
  keepOptimizer: boolean,
): Inheritance {
  const inherits = inheritanceOf(networkIn(fromSaved(checkpoint)), keepOptimizer);
  const differs = (what: string): never => refuse("from", `run ${runId} does not fit: ${what}`);
  const [itsTask, ownTask] = [data, own].map((one) => one?.task ?? "classification");
  if (data && own && itsTask !== ownTask) differs(`it is of a ${itsTask}, the data are for a ${ownTask}`);
  const specs = parameterSpecs({ host, sites: [], hostGradient: "detach" });
  for (const [path, { shape }] of Object.entries(specs)) {
    const found = inherits.parameters[path]?.shape;
    if (`${found}` !== `${shape}`)
      differs(
        `its ${path} is ${found ? `[${found}]` : "missing"}, that of ${host.id} for these data [${shape}]`,
      );
  }
  for (const { id, blueprintId } of inherits.seeds)
    if (!blueprints.find(blueprintId))
      differs(
        `blueprint ${blueprintId} of ${id} is not among those of this run (${blueprints.ids.join(", ")})`,
      );
  const isOfTokens = host.inputDType === "int32";
  if (isOfTokens && data?.class_names && own?.class_names && `${data.class_names}` !== `${own.class_names}`)
    differs("its text has other characters, so that every number would stand for another one");
  if (data && own && data.tokenizer_sha256 !== own.tokenizer_sha256)
    differs("its text is of other tokens; its own are those of ?tokenizer=<its folder>/tokenizer.json");
  return inherits;
}

function refuse(key: string, problem: string): never {
  throw new KasminaError("invalid_argument", `${key} ${problem}`, { details: { key, problem } });
}
