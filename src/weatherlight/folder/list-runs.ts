/** Runs beside each other: those of a folder, and what sets some of them apart. */
import { join } from "node:path";
import { hasFolder, lstatIfThere, namesIn } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import { isGoingOn } from "../control/control-client.js";
import type { Summary } from "./growth-lines.js";
import { runFileOf } from "./run-file.js";
import { endedIn, RUN_FILE, readRunFolder } from "./run-folder.js";
import { summaryOf } from "./summary-file.js";

/** `running` answers on its socket; `stopped` does not, and has not finished. */
export type RunState = "running" | "stopped" | "finished" | "time_limit" | "halted" | "interrupted";

/** As `kasmina runs --json` prints it, one object a run. */
export interface ListedRun {
  readonly path: string;
  readonly run_id: string;
  /** What people call it, and what they find it by; left out where nobody said. */
  readonly name?: string;
  readonly tags?: readonly string[];
  readonly state: RunState;
  readonly data: string;
  readonly host: string;
  readonly seed: number;
  readonly summary: Summary | null;
}

/**
 * The runs right under a folder, by name, which begins with the time that they began at; what is no run is passed over.
 *
 * @returns the runs, and why others cannot be read
 * @throws KasminaError `io` where there is no such folder
 */
export async function listRuns(
  folder: string,
): Promise<{ readonly runs: readonly ListedRun[]; readonly problems: readonly string[] }> {
  if (!hasFolder(folder)) throw new KasminaError("io", `there is no folder ${folder}`);
  const runs: ListedRun[] = [];
  const problems: string[] = [];
  const names = (await namesIn(folder)).filter((name) => isRunFolder(join(folder, name)));
  for (const name of names.sort()) {
    try {
      runs.push(await readRun(join(folder, name)));
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return { runs, problems };
}

/** Whether a run lies there, and not behind a link. */
export function isRunFolder(path: string): boolean {
  return lstatIfThere(path)?.isDirectory() === true && lstatIfThere(join(path, RUN_FILE)) !== undefined;
}

/** @param summary the run's report, as far as there is one */
export async function stateOf(path: string, summary: unknown): Promise<RunState> {
  const ended = endedIn(summary);
  if (ended === null) return (await isGoingOn(path)) ? "running" : "stopped";
  return ended === "halted" || ended === "interrupted" || ended === "time_limit" ? ended : "finished";
}

async function readRun(path: string): Promise<ListedRun> {
  const { about, summary, path: folder } = await readRunFolder(path);
  const { run_id, config } = runFileOf(about, folder);
  return {
    path,
    run_id,
    ...labelsOf(config),
    state: await stateOf(folder, summary),
    data: String(config.data),
    host: String(config.host),
    seed: Number(config.seed ?? 0),
    summary: summary === undefined ? null : summaryOf(summary, folder),
  };
}

/** As far as they are what they ought to be: the folder may come from anywhere. */
function labelsOf({ name, tags }: Readonly<Record<string, unknown>>): Pick<ListedRun, "name" | "tags"> {
  return {
    ...(typeof name === "string" && { name }),
    ...(Array.isArray(tags) && { tags: tags.filter((tag) => typeof tag === "string") }),
  };
}

export interface Comparison {
  /** What the runs were asked for and is not the same in all of them, by option; null where one was not asked for it. */
  readonly differences: Readonly<Record<string, readonly unknown[]>>;
  readonly runs: readonly ListedRun[];
}

/** Options that are another in every run: they say nothing of what is compared. */
export const OWN_OPTIONS: ReadonlySet<string> = new Set(["runId", "runDir", "name", "tags"]);

/** @throws KasminaError `invalid_argument` where one is no run */
export async function compareRuns(paths: readonly string[]): Promise<Comparison> {
  const runs = await Promise.all(paths.map(readRun));
  const configs = await Promise.all(
    paths.map(async (path) => {
      const { about, path: folder } = await readRunFolder(path);
      const { config, data, parent } = runFileOf(about, folder);
      return {
        ...config,
        ...(data && { data_sha256: data.sha256 }),
        ...(parent !== undefined && { parent }),
      };
    }),
  );
  const keys = [...new Set(configs.flatMap((config) => Object.keys(config)))].filter(
    (key) => !OWN_OPTIONS.has(key),
  );
  const valuesOf = (key: string) =>
    configs.map((config) => (config as Readonly<Record<string, unknown>>)[key] ?? null);
  const differing = keys.filter(
    (key) => new Set(valuesOf(key).map((value) => JSON.stringify(value))).size > 1,
  );
  return { differences: Object.fromEntries(differing.map((key) => [key, valuesOf(key)])), runs };
}
