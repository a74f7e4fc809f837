/** Evaluation of a topology over a batch, and over all rows of a split. */

import type { EvaluationBatch, EvaluationSource, Tensor, Tensors } from "../contracts/index.js";
import type { Program, State } from "../engine/index.js";
import { type EvaluationResult, EvaluationSums, type Topology } from "../network/index.js";

export interface EvaluateOptions {
  /** Comes between two batches; where it rejects, so does the evaluation. */
  readonly pause?: (() => Promise<void>) | undefined;
  /** What the program begins with, of the inputs of a batch, counted from 0. Default: the inputs themselves. */
  readonly begin?: (inputs: Tensor, index: number) => Promise<Tensor>;
}

/** The program's sums over one batch. @param x what the program begins with */
export function evaluateBatch(
  program: Program,
  state: State,
  { x, labels, weights }: Pick<EvaluationBatch, "labels" | "weights"> & { readonly x: Tensor },
  controls: Tensors,
): Promise<Readonly<Record<string, Tensor>>> {
  return program.run(state, { x, y: labels, weight: weights }, controls);
}

/** Runs `program` over every batch and adds up; `batches` says how many there were. */
export async function evaluateRows(
  program: Program,
  topology: Topology,
  state: State,
  source: EvaluationSource,
  controls: Tensors,
  { pause, begin }: EvaluateOptions = {},
): Promise<EvaluationResult & { readonly batches: number }> {
  const sums = new EvaluationSums();
  let batches = 0;
  for (const batch of source.batches()) {
    const x = begin ? await begin(batch.inputs, batches) : batch.inputs;
    sums.add(await evaluateBatch(program, state, { ...batch, x }, controls));
    batches++;
    await pause?.();
  }
  return { ...sums.result(topology), batches };
}
