/** The runs under one folder, as the dashboard reads them: nothing else of the disk is within reach of a request. */
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { lstatIfThere, namesIn, placeOf } from "../../base/disk/index.node.js";
import { type Clock, KasminaError, systemClock } from "../../base/index.js";
import type { Score } from "../../contracts/index.js";
import { readStatus } from "../control/control-client.js";
import { type Summary, scoreIn, testScore } from "../folder/growth-lines.js";
import { inspectRun } from "../folder/inspect-run.js";
import { isRunFolder, type RunState, stateOf } from "../folder/list-runs.js";
import {
  EventLines,
  RUN_FILE,
  type RunRecord,
  readLastEventLines,
  readLosses,
  readRunFolder,
} from "../folder/run-folder.js";
import { type RunEvent, type RunHistory, RunLines, runHistory } from "../report/history.js";
import { groupKeyOf } from "./compare.js";

/** Of the end of events.ndjson, in which the last observation is looked for. */
const LAST_BYTES = 64 * 1024;
/** In the line of an event that is more than information, and in few others. */
const SEVERE = ["WARNING", "ERROR", "CRITICAL"].map((level) => `"level":"${level}"`);
/** Runs whose lines are kept in memory. */
const RUNS_KEPT = 16;

/** One row of the table of runs. */
export interface RunRow {
  /** Of its folder. */
  readonly name: string;
  /** What it was called; empty where it was not. */
  readonly title: string;
  readonly tags: readonly string[];
  readonly state: RunState;
  readonly startedMs: number;
  /** Since it began. */
  readonly ageMs: number;
  readonly host: string;
  readonly data: string;
  readonly seed: string;
  readonly step: number | undefined;
  readonly loss: number | undefined;
  /** On the test set, or on the held-out rows as far as the run is. */
  readonly score: Score | undefined;
  readonly parameters: number | undefined;
  readonly flops: number | undefined;
  readonly seeds: number;
  /** The same for runs that were asked for the same but for the random seed. */
  readonly group: string;
}

/** Takes in a run's lines as they come, each once; all of them again where they were cut off. */
class Reading {
  readonly #events: EventLines;
  readonly #take: (lines: RunLines, more: readonly string[]) => void;
  #lines = new RunLines();
  #count = 0;

  constructor(events: EventLines, take: (lines: RunLines, more: readonly string[]) => void) {
    this.#events = events;
    this.#take = take;
  }

  async lines(): Promise<RunLines> {
    const raw = await this.#events.read();
    if (raw.length < this.#count) {
      this.#lines = new RunLines();
      this.#count = 0;
    }
    this.#take(this.#lines, raw.slice(this.#count));
    this.#count = raw.length;
    return this.#lines;
  }
}

/** One run as it is read: its record, and its lines as far as they are written. */
export class WatchedFolder {
  readonly path: string;
  readonly #events: EventLines;
  readonly #known: Reading;
  readonly #course: Reading;
  readonly #severe: Reading;
  #blocks: readonly string[] | undefined;
  /** The history of the whole run as it was last made, and from what. */
  #whole: { readonly from: string; readonly history: RunHistory } | undefined;

  constructor(path: string) {
    this.path = path;
    this.#events = new EventLines(path);
    this.#known = new Reading(this.#events, (lines, more) => lines.add(more));
    this.#course = new Reading(this.#events, (lines, more) => lines.addCourse(more));
    this.#severe = new Reading(new EventLines(path, SEVERE), (lines, more) => lines.add(more));
  }

  /** The lines of events.ndjson by now. */
  lines(): Promise<readonly string[]> {
    return this.#events.read();
  }

  /** @param until as {@link runHistory} takes it */
  async history(until?: number): Promise<RunHistory> {
    if (until !== undefined) return this.#historyUntil(until);
    const from = signatureOfAll(this.path, HISTORY_FILES);
    if (this.#whole?.from !== from) this.#whole = { from, history: await this.#historyUntil() };
    return this.#whole.history;
  }

  async #historyUntil(until?: number): Promise<RunHistory> {
    const record = await readRunFolder(this.path);
    return runHistory(record, await this.#known.lines(), await readLosses(this.path), until);
  }

  /** The history as far as curves are drawn of it: without what it says of seeds, events and decisions. */
  async course(): Promise<RunHistory> {
    const from = signatureOfAll(this.path, HISTORY_FILES);
    if (this.#whole?.from === from) return this.#whole.history;
    return runHistory(await readRunFolder(this.path), await this.#course.lines(), new Float32Array());
  }

  /** Events that are more than information, without a reading of all the others. */
  async severe(): Promise<readonly RunEvent[]> {
    const { events } = await this.#severe.lines();
    return events.until(Number.POSITIVE_INFINITY).filter(({ level }) => level !== "INFO");
  }

  async state(): Promise<RunState> {
    return stateOf(this.path, (await readRunFolder(this.path)).summary);
  }

  /** Names of the network's blocks, in order; those that have a slot alone while there is no checkpoint. */
  async blocks(state: RunState): Promise<readonly string[]> {
    if (this.#blocks) return this.#blocks;
    // One that goes on may replace its checkpoint while it is read.
    const inspected = await inspectRun(this.path).catch(() => undefined);
    if (inspected && inspected.blocks.length > 0) this.#blocks = inspected.blocks.map(({ name }) => name);
    if (this.#blocks || state !== "running") return this.#blocks ?? [];
    return (await readStatus(this.path)).slots.map(({ id }) => id);
  }
}

/** The runs in a folder; or one run, where the folder is itself that of a run. */
export class RunsFolder {
  readonly #root: string;
  readonly #only: string | undefined;
  readonly #open = new Map<string, WatchedFolder>();
  /** Rows of the table as they were last made, and from what. */
  readonly #rows = new Map<string, { readonly from: string; readonly row: RowOfRun }>();
  readonly #clock: Clock;

  /** @throws KasminaError `invalid_argument` where there is no such folder */
  constructor(folder: string, clock: Clock = systemClock) {
    this.#clock = clock;
    const place = placeOf(resolve(folder));
    if (place === undefined)
      throw new KasminaError("invalid_argument", `there is no folder ${folder}: name a folder of runs`);
    const isRun = lstatIfThere(join(place, RUN_FILE)) !== undefined;
    this.#root = isRun ? dirname(place) : place;
    this.#only = isRun ? basename(place) : undefined;
  }

  /** Names of its runs, the newest first. */
  async names(): Promise<string[]> {
    const names = this.#only === undefined ? await namesIn(this.#root) : [this.#only];
    const runs = names.filter((name) => this.#isRun(name));
    return runs.sort((a, b) => this.#startedMs(b) - this.#startedMs(a));
  }

  /** The run of that name; undefined for whatever is not the name of a run in this folder. */
  async find(name: string): Promise<WatchedFolder | undefined> {
    const names = this.#only === undefined ? await namesIn(this.#root) : [this.#only];
    if (!names.includes(name) || !this.#isRun(name)) return undefined;
    const run = this.#open.get(name) ?? new WatchedFolder(join(this.#root, name));
    this.#open.delete(name);
    this.#open.set(name, run);
    const [oldest] = this.#open.keys();
    if (this.#open.size > RUNS_KEPT && oldest !== undefined) this.#open.delete(oldest);
    return run;
  }

  async rows(): Promise<RunRow[]> {
    const rows = await Promise.all((await this.names()).map((name) => this.#row(name)));
    return rows.flatMap((row) => row ?? []);
  }

  /** Undefined for what cannot be read: it may be half there. */
  async #row(name: string): Promise<RunRow | undefined> {
    const path = join(this.#root, name);
    try {
      const from = signatureOfAll(path, ROW_FILES);
      const known = this.#rows.get(name);
      const row = known?.from === from ? known.row : await readRow(path);
      this.#rows.set(name, { from, row });
      const startedMs = this.#startedMs(name);
      const state = await stateOf(path, row.summary);
      return { ...row, name, startedMs, ageMs: Math.max(0, this.#clock.nowMs() - startedMs), state };
    } catch (error) {
      if (error instanceof KasminaError) return undefined;
      throw error;
    }
  }

  #isRun(name: string): boolean {
    return isRunFolder(join(this.#root, name));
  }

  #startedMs(name: string): number {
    return Number(lstatIfThere(join(this.#root, name, RUN_FILE))?.mtimeMs ?? 0);
  }
}

function scoreOf(summary: Summary | undefined): Score | undefined {
  if (!summary) return undefined;
  const { name, value } = testScore(summary);
  return value === null ? undefined : { name, value };
}

/** What a row shows but for its name, its age and whether the run goes on. */
interface RowOfRun extends Omit<RunRow, "name" | "startedMs" | "ageMs" | "state"> {
  readonly summary: unknown;
}

/** Whatever a row is made from. */
const ROW_FILES = [RUN_FILE, "summary.json", "events.ndjson"];
/** Whatever a history is made from. */
const HISTORY_FILES = [...ROW_FILES, "losses.f32"];

function signatureOfAll(path: string, files: readonly string[]): string {
  return files.map((file) => signatureOf(join(path, file))).join();
}

function signatureOf(path: string): string {
  const stats = lstatIfThere(path);
  return stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : "";
}

async function readRow(path: string): Promise<RowOfRun> {
  const record = await readRunFolder(path);
  const { config, summary, observations } = runHistory(
    record,
    await lastObservation(record),
    new Float32Array(),
  );
  const last = observations.at(-1);
  return {
    summary: record.summary,
    title: String(config.name ?? ""),
    tags: z.array(z.string()).catch([]).parse(config.tags),
    host: summary?.host ?? String(config.host ?? ""),
    data: summary?.data ?? String(config.data ?? ""),
    seed: String(config.seed ?? 0),
    step: last?.step,
    loss: last?.val_loss ?? undefined,
    score: scoreOf(summary) ?? scoreIn(last ?? {}),
    parameters: summary?.params_total ?? last?.params_total,
    flops: summary?.flops_total ?? last?.flops_total,
    seeds: last?.seeds.length ?? 0,
    group: groupKeyOf(config),
  };
}

async function lastObservation({ path }: RunRecord): Promise<RunLines> {
  const lines = await readLastEventLines(path, LAST_BYTES);
  const last = lines.findLast((line) => line.startsWith('{"type":"observation","phase":"grow"'));
  const found = new RunLines();
  found.add(last === undefined ? [] : [last]);
  return found;
}
