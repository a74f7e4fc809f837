/** The run that another one goes on from, in its folder, and the copy that the new run keeps of it in its own. */
import { join } from "node:path";
import { KasminaError, messageOf } from "../../base/index.js";
import { builtins } from "../../nn/index.js";
import { readCheckpoint, writeCheckpoint } from "../folder/checkpoint.js";
import { runFileOf } from "../folder/run-file.js";
import { readRunFolder } from "../folder/run-folder.js";
import { originOf } from "../folder/saved-checkpoint.js";
import type { GrowOptions } from "./grow-options.js";
import { isModuleReference } from "./module-reference.js";
import type { RunParent } from "./platform.js";
import { withGivenCode } from "./sources.js";
import { journalIn, refuseForeignFiles } from "./vouched.node.js";

/** In the folder of the run that goes on from another: that run's checkpoint, whole, as it was. */
const KEPT_PARENT = "parent";

type Inherited = Pick<GrowOptions, "data" | "host" | "blueprints">;

/** @throws KasminaError `invalid_argument` where `path` holds no run, code of it is not given again, or nobody here can vouch for the files it names */
export async function parentOptions(path: string, given: Inherited): Promise<Inherited> {
  const { path: folder, about, aboutSha256 } = await readRunFolder(path);
  const file = runFileOf(about, folder);
  const { problem } = journalIn(folder, file.run_id, aboutSha256);
  if (problem !== undefined) refuseForeignFiles(file, problem, given);
  const { data, host, blueprints } = given;
  const known = withGivenCode(
    { ...file, sources: { ...file.sources, policy: undefined } },
    { data, host, blueprints },
  );
  const { data: itsData, host: itsHost, blueprints: itsBlueprints } = known as Inherited;
  const own = known.blueprint;
  // One that the parent was asked for alone is among what its seeds may be made of.
  const asked = typeof own === "string" && isModuleReference(own) ? [...builtins, own] : undefined;
  const all = blueprints ?? itsBlueprints ?? asked;
  return {
    ...(itsData !== undefined && { data: itsData }),
    ...(itsHost !== undefined && { host: itsHost }),
    ...(all && { blueprints: all }),
  };
}

/** Keeps a copy, so that a run needs its parent no more. */
export async function keepParent(
  folder: string,
  { checkpoint, sha256 }: RunParent,
  share: boolean,
): Promise<void> {
  const { tensors, meta } = checkpoint;
  const written = await writeCheckpoint(join(folder, KEPT_PARENT), { tensors, meta }, { share });
  if (written.sha256 !== sha256)
    throw new KasminaError("io", `the copy of the parent in ${folder} has another digest than the parent`);
}

/** @throws KasminaError `corrupt` where the copy is gone or is not the parent that the run began with */
export async function readKeptParent(folder: string, sha256: string): Promise<RunParent> {
  const path = join(folder, KEPT_PARENT);
  try {
    const checkpoint = await readCheckpoint(path);
    if (checkpoint.sha256 !== sha256)
      throw new KasminaError(
        "corrupt",
        `it is ${checkpoint.sha256.slice(0, 12)}, not ${sha256.slice(0, 12)}`,
      );
    return { runId: originOf(checkpoint).runId, sha256, checkpoint };
  } catch (error) {
    throw new KasminaError(
      "corrupt",
      `the network that the run began with, in ${path}, is gone or has changed: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
