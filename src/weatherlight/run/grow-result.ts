/** What `grow()` resolves with. */

import type { FlopsByPart, Stage } from "../../contracts/index.js";
import type { BackendName } from "../../engine/index.js";
import type { Evaluation } from "../../network/index.js";
import type { GrownNetwork } from "../grow/grown-network.js";
import type { RunOutcome, SeedOutcome } from "../grow/run-outcome.js";

/**
 * A seed as it stood when the run ended.
 *
 * @example
 * ```ts
 * import { grow } from "kasmina";
 *
 * const { seeds } = await grow({ data: "spirals" });
 * for (const { id, slot, stage, contribution } of seeds) console.log(id, slot, stage, contribution);
 * ```
 */
export interface GrownSeed {
  readonly id: string;
  readonly blueprint: string;
  readonly slot: string;
  readonly stage: Stage;
  /** 0..1: how much of it is in the output. */
  readonly alpha: number;
  /** Host loss − shadow loss on held-out rows, last measured while it trained; null where it never was. */
  readonly shadowGain: number | null;
  /** Loss without the seed − loss with it, held out, last measured while it was blended; null where it never was. */
  readonly contribution: number | null;
  /** Whether the run began with it, so that it counts as the host's; left out where it did not. */
  readonly inherited?: true;
}

/**
 * How a run came to its end: by its epochs, because nothing got better, because its time was over, by an emergency command, or by its signal.
 *
 * @example
 * ```ts
 * import { grow } from "kasmina";
 *
 * const { ended } = await grow({ data: "spirals", signal: AbortSignal.timeout(60_000) });
 * if (ended === "interrupted") console.log("stopped after a minute");
 * ```
 */
export type GrowEnd = "finished" | "patience" | "time_limit" | "halted" | "interrupted";

/**
 * A run that has ended.
 *
 * @example
 * ```ts
 * import { grow, type GrowResult } from "kasmina";
 *
 * const run: GrowResult = await grow({ data: "spirals" });
 * console.log(run.ended, run.accuracy);
 * ```
 */
export interface GrowResult {
  readonly runId: string;
  readonly ended: GrowEnd;
  /** The engine that ran. */
  readonly engine: BackendName;
  readonly host: string;
  readonly data: string;
  /** Of all that the training saw of the data; left out in a browser. */
  readonly dataSha256?: string;
  /** Digest of the checkpoint, or of the ONNX file, that the run went on from; left out where it began afresh. */
  readonly parent?: string;
  readonly seed: number;
  readonly epochs: number;
  /** On the test rows, 0..1; NaN where the run was interrupted, or the task has none. */
  readonly accuracy: number;
  /**
   * On the test rows; NaN where the run was interrupted. In nats, of a regression the squared error with targets in units of their
   * deviation.
   */
  readonly testLoss: number;
  /** Of the same host trained alone; null without `compare`. */
  readonly accuracyHostAlone: number | null;
  /** `classification`, `next-token`, `regression` or `multilabel`. */
  readonly task: Evaluation["task"];
  /** On the test rows; null where the run was interrupted. */
  readonly metrics: Evaluation["metrics"] | null;
  /** Of the same host trained alone; null without `compare`. */
  readonly metricsHostAlone: Evaluation["metrics"] | null;
  /** Of two classes: the probability from which the second is said, where it was to be chosen on the held-out rows. */
  readonly threshold?: number;
  /** Where the best network is the run's: the step at whose end it was, and its loss on the held-out rows. */
  readonly best?: { readonly step: number; readonly heldOutLoss: number };
  /** Training steps done. */
  readonly steps: number;
  readonly stepsPerSecond: number;
  /** Of training, evaluations included, and of the host alone where it was trained. */
  readonly wallSeconds: number;
  /** Scalars of the host alone, and with what was grown. */
  readonly paramsHost: number;
  readonly paramsTotal: number;
  /** Everything that the growing run computed: steps, shadow passes, evaluations, culled seeds included. */
  readonly flopsTotal: number;
  /** What they went into; left out where the run began when it was not counted. */
  readonly flopsByPart?: FlopsByPart;
  readonly seeds: readonly GrownSeed[];
  readonly commands: { readonly accepted: number; readonly rejected: number };
  readonly isolation: RunOutcome["isolation"];
  /** To predict with, and to export. */
  readonly network: GrownNetwork;
  /** Absolute path of the run's folder; left out where it has none. */
  readonly runDir?: string;
}

export function grownSeed({ seed, alpha, shadowGain, contribution }: SeedOutcome): GrownSeed {
  const { id, blueprintId: blueprint, slotId: slot, stage, inherited } = seed;
  return { id, blueprint, slot, stage, alpha, shadowGain, contribution, ...(inherited && { inherited }) };
}
