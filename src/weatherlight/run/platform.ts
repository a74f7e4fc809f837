/**
 * What a run needs of the machine that it is on. Node has all of it; a browser has no files, no threads of ours and no
 * modules by path. `#platform` in package.json names the one that is bundled or loaded.
 */

import type { KeyRing } from "../../contracts/index.js";
import type { Backend, LoweringTarget } from "../../engine/index.js";
import type { KasminaConfig } from "../../kasmina/index.js";
import type { TeacherOptions, TopologyTracer } from "../../tolaria/index.js";
import type { Checkpoint } from "../folder/checkpoint.js";
import type { DataRecord } from "../folder/data-record.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import type { RunFile } from "../folder/run-file.js";
import type { RunRecordLine } from "../folder/run-records.js";
import type { Mutex } from "../grow/mutex.js";
import type { RunKernels } from "../grow/ports.js";
import type { RunCheckpoint } from "../grow/run-outcome.js";
import type { RunSetup } from "../grow/run-setup.js";
import type { GrowConfig } from "./grow-config.js";
import type { GrowOptions } from "./grow-options.js";
import type { SourceLoaders, Sources } from "./sources.js";

/** A run that stopped before its end. */
export interface StoppedRun {
  readonly path: string;
  readonly file: RunFile;
  /** Undefined where it stopped before its first one: it begins again. */
  readonly checkpoint: RunCheckpoint | undefined;
  /** Goes on with it in its folder, which the run that is kept closes. */
  keep(request: KeptRunRequest): Promise<KeptRun>;
  /** The id of the run that was adopted; left out where none was. */
  readonly adopted?: string;
  /** Gives the folder back. May be called again. */
  close(): Promise<void>;
}

/** A teacher, and the digest of the checkpoint that it was read from. */
export interface RunTeacher extends TeacherOptions {
  readonly sha256?: string | undefined;
}

/** What a run descends from, as its files say it. */
export interface Lineage {
  /** Of the checkpoint, or of the file, that it began with. */
  readonly sha256: string;
  /** Left out where it began with a file. */
  readonly runId?: string | undefined;
}

/** The run whose network another one begins with. */
export interface RunParent extends Lineage {
  readonly checkpoint: Checkpoint;
  /** What its inputs and outputs stand for. */
  readonly data?: DataRecord | undefined;
}

/** The files of a run while it goes on, and how operators reach it. */
export interface KeptRun {
  readonly path: string;
  readonly keys: KeyRing;
  /** Aborts where the folder is gone, or cannot be written any more. */
  readonly lost: AbortSignal;
  /** @throws KasminaError `io` where the folder was lost: why, and where the last checkpoint is */
  requireThere(): void;
  /** What ties the run to them: journal, losses, checkpoints, control socket. */
  ties(config: Readonly<Record<string, unknown>>, sources: Sources, limits: KasminaConfig): Partial<RunSetup>;
  append(line: GrowthLine | RunRecordLine): void;
  writeSummary(summary: Summary): Promise<void>;
  close(): Promise<void>;
}

export interface KeptRunRequest {
  readonly runId: string;
  /** As `run.json` holds it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly sources: Sources;
  readonly teacherSha256: string | undefined;
  /** What the run descends from; undefined where it began afresh. */
  readonly lineage: Lineage | undefined;
  /** The run that it begins with, of which it keeps a copy. */
  readonly parent: RunParent | undefined;
  /** Where the run is resumed. */
  readonly stopped: StoppedRun | undefined;
  /** Whether the group may read what is written. */
  readonly share: boolean;
  readonly onNotice: (text: string, always?: boolean) => void;
}

export interface Closable {
  close(): Promise<void>;
}

export interface KernelsRequest {
  readonly config: GrowConfig;
  readonly runId: string;
  readonly limits: KasminaConfig;
  readonly sources: Sources;
  /** Path of the run's folder, where it has one. */
  readonly folder: string | undefined;
  /** What trains. */
  readonly backend: Backend;
  /** By which the programs of the training thread take turns. */
  readonly mutex: Mutex;
}

export interface Platform extends SourceLoaders {
  /** A path that holds from any working folder. */
  readonly absolutePath: (path: string) => string;
  /** A reference to the same module that holds from anywhere. */
  readonly absoluteModule: (reference: string) => string;
  /** Takes the folder of a stopped run, and only then reads where it stopped: nobody else goes on with it meanwhile. */
  readonly openStoppedRun: (path: string, adopt: boolean) => Promise<StoppedRun>;
  readonly keepRun: (path: string, request: KeptRunRequest) => Promise<KeptRun>;
  /** Kernels in parallel with training; undefined where they are built on its thread. */
  readonly openKernels: (request: KernelsRequest) => Promise<(RunKernels & Closable) | undefined>;
  /** Traces in parallel with training; a text that says why it cannot. */
  readonly openTracer: (
    sources: Sources,
    target: LoweringTarget,
    onFallback: (problem: string) => void,
  ) => (TopologyTracer & Closable) | string;
  /** @param recordedSha256 of the checkpoint that a run which goes on had it from */
  readonly readTeacher: (
    path: string,
    config: GrowConfig,
    sources: Pick<Sources, "host" | "dataset">,
    recordedSha256?: string,
  ) => Promise<RunTeacher>;
  /** Data, host and blueprints of the run in a folder, as far as they are not given. */
  readonly parentOptions: (
    path: string,
    given: Pick<GrowOptions, "data" | "host" | "blueprints">,
  ) => Promise<Pick<GrowOptions, "data" | "host" | "blueprints">>;
  readonly readParent: (path: string, config: GrowConfig) => Promise<RunParent>;
  /** The copy of its parent that a run keeps. @throws KasminaError `corrupt` where it is not the one of that digest */
  readonly readKeptParent: (folder: string, sha256: string) => Promise<RunParent>;
  readonly writeFile: (path: string, bytes: Uint8Array) => Promise<void>;
}
