/** Whether anybody here can vouch for what a run folder says, and what is not read because nobody can. */
import { join } from "node:path";
import { KasminaError } from "../../base/index.js";
import { type FoundJournal, type JournalOptions, readJournal } from "../../kasmina/index.node.js";
import { JOURNAL_FILE } from "../control/run-access.js";
import { openRunKeys } from "../control/run-keys.js";
import type { RunFile } from "../folder/run-file.js";
import type { GrowOptions } from "./grow-options.js";
import { isOnnxReference } from "./onnx-reference.js";

/** The journal of a run, checked as far as the run's keys are here; its `problem` says why nobody can vouch for the folder. */
export function journalIn(folder: string, runId: string, aboutSha256: string): FoundJournal {
  return readJournal(join(folder, JOURNAL_FILE), sealsOf(folder, runId, aboutSha256));
}

/** What the run's seals are checked with; undefined where its keys are not here. */
function sealsOf(folder: string, trainingRunId: string, about: string): JournalOptions | undefined {
  try {
    return { keys: openRunKeys(folder, { create: false }), trainingRunId, about };
  } catch {
    return undefined;
  }
}

/** Data of this program and its packages; everything else lies where somebody says. */
const OWN_DATA = /^(spirals|mnist|text:moby-dick)(\?|$)/;

/**
 * What nobody vouches for names no file that is then read: data and an ONNX host are named by whoever asks.
 *
 * @throws KasminaError `invalid_argument` naming what is to be named
 */
export function refuseForeignFiles(
  { config, data }: Pick<RunFile, "config" | "data">,
  problem: string,
  given: Pick<GrowOptions, "data" | "host">,
): void {
  const { origin = config.data } = data ?? {};
  if (given.data === undefined && typeof origin === "string" && !OWN_DATA.test(origin))
    throw foreign(problem, origin, "data");
  refuseForeignHost({ config }, () => problem, given);
}

/** @param problemOf why nobody vouches for the folder; asked where it names an ONNX file that was not named again */
export function refuseForeignHost(
  { config: { host } }: Pick<RunFile, "config">,
  problemOf: () => string | undefined,
  given: Pick<GrowOptions, "host">,
): void {
  if (given.host !== undefined || typeof host !== "string" || !isOnnxReference(host)) return;
  const problem = problemOf();
  if (problem !== undefined) throw foreign(problem, host, "host");
}

function foreign(problem: string, name: string, what: string): KasminaError {
  const how = `it would read ${name} because somebody else says so; name its ${what} with --${what}`;
  return new KasminaError("invalid_argument", `${problem}: ${how}`);
}
