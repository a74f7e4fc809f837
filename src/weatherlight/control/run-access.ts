/** How a run with a folder is reached from outside: its keys, its command journal, its local socket. */

import { join } from "node:path";
import { messageOf, systemClock } from "../../base/index.js";
import type { KeyRing } from "../../contracts/index.js";
import type { CommandJournal } from "../../kasmina/index.js";
import { openJournal } from "../../kasmina/index.node.js";
import type { RunControl } from "../grow/ports.js";
import { ControlServer } from "./control-server.js";
import { openRunKeys } from "./run-keys.js";

/** In the run folder. */
export const JOURNAL_FILE = "commands.journal";
/** Fewer records than this are not worth rewriting the journal for. */
const COMPACT_OVER = 1_024;

export class RunAccess {
  readonly keys: KeyRing;
  readonly journal: CommandJournal;
  readonly #folder: string;
  readonly #runId: string;
  readonly #onProblem: (problem: string) => void;
  /** Of the checkpoint before the last, from which a run may still have to resume. */
  #previousSequence = 0;
  #server: Promise<ControlServer | undefined> = Promise.resolve(undefined);

  /**
   * @param onProblem called with the reason why nobody can reach the run, which goes on all the same
   * @throws KasminaError where keys or journal cannot be had
   */
  constructor(folder: string, runId: string, onProblem: (problem: string) => void) {
    this.#folder = folder;
    this.#runId = runId;
    this.#onProblem = onProblem;
    this.keys = openRunKeys(folder);
    this.journal = openJournal(join(folder, JOURNAL_FILE));
  }

  /** Opens the socket. */
  readonly listen = (control: RunControl): void => {
    this.#server = ControlServer.listen(this.#folder, this.#runId, control).catch((error: unknown) => {
      this.#onProblem(`operators cannot reach this run: ${messageOf(error)}`);
      return undefined;
    });
  };

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

  /** Closes the socket; whoever still waits for an outcome is answered that the run has ended. */
  async close(): Promise<void> {
    (await this.#server)?.close();
  }
}
