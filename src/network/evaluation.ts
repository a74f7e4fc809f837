/**
 * Evaluation of a topology on held-out rows: the loss, and for every seed a paired comparison on the same rows: a
 * TRAINING seed's loss at its target α against the network without it (`shadow_gain`), a blended seed's absence
 * against its presence (the counterfactual, `contribution`). A FOSSILIZED seed is the host's, and nobody decides about it any
 * more: comparing it at every evaluation to the end of the run would cost a forward pass each for nothing.
 */
import { numpy as np } from "@jax-js/jax";
import { type Estimate, type Score, TASK_TRAITS, type Tensor } from "../contracts/index.js";
import type { Arrays, JaxArray, ProgramDefinition } from "../engine/index.js";
import { blendControlSpecs, type ForwardInputs, forward, forwardFrom, forwardWithout } from "./forward.js";
import { lookupIn } from "./gradients.js";
import { perRow, taskFor } from "./tasks.js";
import { batchSpecs, isJudged, isShadow, parameterSpecs, type SeedSite, type Topology } from "./topology.js";

/**
 * The evaluation program: batch {x, y, weight [batch], how much a row counts, 1 where all do alike, and 0 for padding} → sums over rows.
 * Leaves the state as it is.
 * @param prefix leading blocks that were carried out before: x is what they give
 */
export function evaluationProgram(topology: Topology, batch: number, prefix = 0): ProgramDefinition {
  return {
    name: "evaluation",
    state: parameterSpecs(topology, { from: prefix }),
    batch: {
      ...batchSpecs(topology.host, batch, topology.loss, prefix),
      weight: { shape: [batch], dtype: "float32" },
    },
    controls: blendControlSpecs(topology),
    run: (state, arrays, controls) => {
      const outputs = evaluate(topology, state, controls, arrays, prefix);
      return { state: {}, outputs };
    },
  };
}

function evaluate(
  topology: Topology,
  state: Arrays,
  controls: Arrays,
  batch: Arrays,
  prefix: number,
): Arrays {
  const { x, y, weight } = batch as Record<"x" | "y" | "weight", JaxArray>;
  const inputs: ForwardInputs = { topology, parameter: lookupIn(state), control: lookupIn(controls) };
  const activations = new Map<SeedSite, JaxArray>();
  const onSite = (site: SeedSite, h: JaxArray): void => {
    if (isJudged(site)) activations.set(site, h);
    else h.dispose();
  };
  const logits = forward(inputs, x, { onSite, prefix });
  const { labelSmoothing: _, ...judged } = topology.loss ?? {};
  const task = taskFor(judged.task);
  // What is said of held-out rows is meant as it is said: no label is smoothed there.
  const lossOf = (output: JaxArray): JaxArray => perRow(task.loss(output, y.ref, judged));
  const sum = (values: JaxArray): JaxArray =>
    values.ndim === 1 ? values.mul(weight.ref).sum() : values.mul(weight.ref.reshape([-1, 1])).sum(0);
  const summed = (arrays: Arrays): Arrays =>
    Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, sum(values)]));

  const loss = lossOf(logits.ref);
  const outputs: Arrays = {
    loss: sum(loss.ref),
    loss_squared: sum(np.square(loss.ref)),
    ...summed(task.scored(logits, y.ref)),
    weight: weight.ref.sum(),
    ...(judged.rowWeights && { weight_squared: np.square(weight.ref).sum() }),
  };
  for (const [site, h] of activations) {
    const other = lossOf(isShadow(site) ? forwardFrom(inputs, site, h) : forwardWithout(inputs, site, h));
    const gain = isShadow(site) ? loss.ref.sub(other) : other.sub(loss.ref);
    outputs[`gain/${site.seedId}`] = sum(gain.ref);
    outputs[`gain_squared/${site.seedId}`] = sum(np.square(gain));
  }
  return outputs;
}

/** Whether an output of the program compares the network with itself, with or without a seed. */
export function isComparison(output: string): boolean {
  return output.startsWith("gain/") || output.startsWith("gain_squared/");
}

export interface EvaluationResult {
  /** Mean over the rows. */
  readonly loss: Estimate;
  /** By the figure that the task is followed by. Of classes what is not finite is wrong, and k equal outputs are right by 1/k. */
  readonly score: Score;
  /** Rows evaluated, each as often as it counts. */
  readonly rows: number;
  /** By seed id, of those that are not the host's yet: how much lower the loss is with the seed than without it. */
  readonly gains: ReadonlyMap<string, Estimate>;
}

/** Adds up the outputs of evaluation runs over several batches. */
export class EvaluationSums {
  readonly #sums = new Map<string, Float64Array>();

  add(outputs: Readonly<Record<string, Tensor>>): void {
    for (const [name, { data }] of Object.entries(outputs)) {
      const known = this.#sums.get(name) ?? new Float64Array(data.length);
      this.#sums.set(
        name,
        known.map((sum, i) => sum + (data[i] ?? 0)),
      );
    }
  }

  result(topology: Topology): EvaluationResult {
    const rows = this.#get("weight");
    const gains = topology.sites
      .filter(isJudged)
      .map(({ seedId }): [string, Estimate] => [
        seedId,
        this.#estimate(`gain/${seedId}`, `gain_squared/${seedId}`, rows),
      ]);
    const { task = "classification" } = topology.loss ?? {};
    return {
      loss: this.#estimate("loss", "loss_squared", rows),
      score: {
        name: TASK_TRAITS[task].score,
        value: taskFor(task).score((name) => this.#sums.get(name) ?? new Float64Array(), rows),
      },
      rows,
      gains: new Map(gains),
    };
  }

  #get(name: string): number {
    return this.#sums.get(name)?.[0] ?? Number.NaN;
  }

  #estimate(sum: string, sumOfSquares: string, rows: number): Estimate {
    const mean = this.#get(sum) / rows;
    const variance = Math.max(0, this.#get(sumOfSquares) / rows - mean * mean);
    // Rows of different weights say as much as fewer equal ones (Kish 1965: the effective sample size).
    const squares = this.#sums.get("weight_squared")?.[0] ?? rows;
    const effective = (rows * rows) / squares;
    return { value: mean, stdErr: Math.sqrt(variance / Math.max(1, effective - 1)) };
  }
}
