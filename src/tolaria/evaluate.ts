/** Evaluation of a topology over all rows of a split. */

import type { EvaluationSource, Tensors } from "../contracts/index.js";
import type { Program, State } from "../engine/index.js";
import { type EvaluationResult, EvaluationSums, type Topology } from "../network/index.js";

/** Runs `program` over every batch and adds up; `batches` says how many there were. `pause` comes between two batches. */
export async function evaluateRows(
  program: Program,
  topology: Topology,
  state: State,
  source: EvaluationSource,
  controls: Tensors,
  pause: () => Promise<void> = () => Promise.resolve(),
): Promise<EvaluationResult & { readonly batches: number }> {
  const sums = new EvaluationSums();
  let batches = 0;
  for (const { inputs, labels, weights } of source.batches()) {
    sums.add(await program.run(state, { x: inputs, y: labels, weight: weights }, controls));
    batches++;
    await pause();
  }
  return { ...sums.result(topology), batches };
}
