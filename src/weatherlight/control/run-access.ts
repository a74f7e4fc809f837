/**
 * How a run with a folder is reached from outside: its keys, its command journal, its local socket; and how it knows its own work
 * again when it goes on.
 */

import { join } from "node:path";
import { lstatIfThere } from "../../base/disk/index.node.js";
import { messageOf, systemClock } from "../../base/index.js";
import { environmentWithKeys } from "../../base/quiet-runtime.node.js";
import { type KeyRing, Sealer } from "../../contracts/index.js";
import { KEYS_VARIABLE } from "../../contracts/index.node.js";
import type { DurableJournal } from "../../kasmina/index.node.js";
import { openJournal } from "../../kasmina/index.node.js";
import type { RunControl } from "../grow/ports.js";
import { ControlServer } from "./control-server.js";
import { followKeyFile, keyFileOf, openRunKeys } from "./run-keys.js";

/** In the run folder. */
export const JOURNAL_FILE = "commands.journal";
/** Fewer records than this are not worth rewriting the journal for. */
const COMPACT_OVER = 1_024;

export interface RunAccessOptions {
  readonly folder: string;
  readonly runId: string;
  /** SHA-256 of run.json; the journal vouches for it. Left out where there is none. */
  readonly about?: string;
  /** Whether the run goes on: then its keys must be there where its journal is. Default false. */
  readonly resumes?: boolean;
  /** Of a run that begins with a checkpoint: the last command in it. Default 0. */
  readonly startAfter?: number;
}

export class RunAccess {
  readonly keys: KeyRing;
  readonly journal: DurableJournal;
  /** Seals what the run writes for itself. */
  readonly sealer: Sealer;
  readonly #folder: string;
  readonly #runId: string;
  /** Of the checkpoint before the last, from which a run may still have to resume. */
  #previousSequence = 0;
  #unfollow: () => void = () => undefined;
  #server: Promise<ControlServer | undefined> = Promise.resolve(undefined);

  /** @throws KasminaError where keys or journal cannot be had, or the journal is not this run's own work */
  constructor({ folder, runId, about, resumes = false, startAfter = 0 }: RunAccessOptions) {
    this.#folder = folder;
    this.#runId = runId;
    const path = join(folder, JOURNAL_FILE);
    this.keys = openRunKeys(folder, { create: !resumes || lstatIfThere(path) === undefined });
    this.sealer = new Sealer(this.keys, runId);
    this.journal = openJournal(path, {
      keys: this.keys,
      trainingRunId: runId,
      startAfter,
      ...(about !== undefined && { about }),
    });
    this.journal.begin();
  }

  /**
   * Opens the socket, and follows the key file.
   * @param onProblem receives why nobody can reach the run, which goes on all the same
   */
  listen(control: RunControl, onProblem: (problem: string) => void): void {
    if (!environmentWithKeys()[KEYS_VARIABLE])
      this.#unfollow = followKeyFile(this.keys, keyFileOf(this.#folder), onProblem);
    this.#server = ControlServer.listen({
      folder: this.#folder,
      runId: this.#runId,
      control,
      sealer: this.sealer,
    }).catch((error: unknown) => {
      onProblem(`operators cannot reach this run: ${messageOf(error)}`);
      return undefined;
    });
  }

  /**
   * After a checkpoint: moves commands that both it and the one before it hold, and whose nonces have expired, out of
   * the journal into its history.
   *
   * @param sequence the last command in the checkpoint
   * @param after `previousKept`: whether the checkpoint before is still there, or an older one than that
   */
  checkpointed(
    sequence: number,
    { nonceTtlMs, previousKept }: { readonly nonceTtlMs: number; readonly previousKept: boolean },
  ): void {
    if (previousKept && this.journal.records.length > COMPACT_OVER)
      this.journal.compact(this.#previousSequence + 1, systemClock.nowMs() - nonceTtlMs);
    this.#previousSequence = sequence;
  }

  /** Closes the socket; whoever still waits for an outcome is notified that the run has ended. */
  async close(): Promise<void> {
    this.#unfollow();
    (await this.#server)?.close();
    this.journal.close();
  }
}
