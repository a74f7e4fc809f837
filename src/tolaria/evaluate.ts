/** Evaluation of a topology over all rows of a split. */

import type { EvaluationSource, Tensor, Tensors } from "../contracts/index.js";
import type { Program, State } from "../engine/index.js";
import { type EvaluationResult, EvaluationSums, type Topology } from "../network/index.js";

export interface EvaluateOptions {
  /** Comes between two batches; where it rejects, so does the evaluation. */
  readonly pause?: (() => Promise<void>) | undefined;
  /** What the program begins with, of the inputs of a batch, counted from 0. Default: the inputs themselves. */
  readonly begin?: (inputs: Tensor, index: number) => Promise<Tensor>;
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
  for (const { inputs, labels, weights } of source.batches()) {
    const x = begin ? await begin(inputs, batches) : inputs;
    sums.add(await program.run(state, { x, y: labels, weight: weights }, controls));
    batches++;
    await pause?.();
  }
  return { ...sums.result(topology), batches };
}
