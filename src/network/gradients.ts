/** Loss and gradients of one step of a topology: the network's own loss, and a shadow loss for each seed that is not in the output yet. */
import { numpy as np, valueAndGrad } from "@jax-js/jax";
import type { Arrays, JaxArray } from "../engine/index.js";
import { type Objective, objectiveOf } from "./distillation.js";
import { type ForwardInputs, forward, forwardFrom, type Lookup } from "./forward.js";
import { perRow, taskFor } from "./tasks.js";
import { isShadow, learningPlan, type SeedSite, type Topology } from "./topology.js";

export interface StepGradients {
  /** Mean loss of the batch: []. */
  readonly loss: JaxArray;
  /** Shadow loss of each seed that has one: []. */
  readonly shadowLosses: ReadonlyMap<SeedSite, JaxArray>;
  /** Gradient of each parameter in the {@link learningPlan}, by path. */
  readonly gradients: Arrays;
}

/**
 * The main loss is differentiated by what {@link learningPlan} names and by nothing else; each shadow loss by its
 * own seed's parameters alone, in a pass of its own from the slot upward. So no host gradient can hold a trace
 * of a seed in TRAINING, whatever that seed computes, NaN included.
 */
export function stepGradients(
  topology: Topology,
  parameters: Arrays,
  controls: Arrays,
  { x, y, weight, prefix }: LabelledBatch,
): StepGradients {
  const plan = learningPlan(topology);
  const control = lookupIn(controls);
  const sites = [...plan.shadows.keys()];
  const objective = objectiveOf(topology, parameters, control, x);

  const [[loss, activations], gradients] = networkGradients(
    { topology, control },
    { parameters, paths: plan.main, x, y, weight, prefix, keepAt: isShadow, objective },
  );

  const shadowLosses = new Map<SeedSite, JaxArray>();
  for (const [i, site] of sites.entries()) {
    const h = activations[i];
    if (!h) continue;
    const [[shadowLoss], shadowGradients] = gradientOf(
      parameters,
      plan.shadows.get(site) ?? [],
      (parameter, onBlock) => {
        const logits = forwardFrom({ topology, parameter, control }, site, h.ref, { onBlock });
        return [meanLoss(topology, logits.ref, { y, weight }), logits, []];
      },
      objective,
    );
    shadowLosses.set(site, shadowLoss);
    Object.assign(gradients, shadowGradients);
  }
  return { loss, shadowLosses, gradients };
}

/** Rows of which a loss is taken; none of these is consumed. */
interface LabelledBatch {
  readonly x: JaxArray;
  readonly y: JaxArray;
  /** [batch]: how much each row counts. Default: all count alike. */
  readonly weight?: JaxArray | undefined;
  /** Leading blocks that were carried out before: x is what they give. Default 0: x are the examples. */
  readonly prefix?: number | undefined;
}

/** What the network's own pass is run on and differentiated by. */
export interface NetworkPass extends LabelledBatch {
  readonly parameters: Arrays;
  /** The parameters to differentiate by; all others are constants. */
  readonly paths: readonly string[];
  /** Sites whose activation is wanted. Default none. */
  readonly keepAt?: (site: SeedSite) => boolean;
  /** What the gradients are of. Default: the loss itself. */
  readonly objective?: Objective;
}

/** The network's own loss [] with the activations asked for, and its gradients by path. */
export function networkGradients(
  inputs: Omit<ForwardInputs, "parameter">,
  { parameters, paths, x, y, weight, prefix = 0, keepAt, objective }: NetworkPass,
): [[loss: JaxArray, activations: JaxArray[]], Arrays] {
  return gradientOf(
    parameters,
    paths,
    (parameter, onBlock) => {
      const activations: JaxArray[] = [];
      const logits = forward({ ...inputs, parameter }, x.ref, {
        ...{ prefix, onBlock },
        onSite: (site, h) => void (keepAt?.(site) && activations.push(h)),
      });
      return [meanLoss(inputs.topology, logits.ref, { y, weight }), logits, activations];
    },
    objective,
  );
}

/** Over the batch, Σ w·loss / Σ w: []; 0 where no row counts. Consumes the outputs. */
function meanLoss(
  { loss = {} }: Topology,
  outputs: JaxArray,
  { y, weight }: Pick<LabelledBatch, "y" | "weight">,
): JaxArray {
  const losses = taskFor(loss.task).loss(outputs, y.ref, loss);
  if (!weight) return losses.mean();
  const total = weight.ref.sum();
  const divisor = np.where(total.ref.equal(0), 1, total);
  return perRow(losses).mul(weight.ref).sum().div(divisor);
}

/** Euclidean norm over all the given arrays: []. */
export function globalNorm(arrays: readonly JaxArray[]): JaxArray {
  const squares = arrays.map((array) => np.square(array.ref).sum());
  return np.sqrt(squares.reduce((sum, square) => sum.add(square)));
}

/** Gives each array of a record with a fresh reference; a name that is not there throws. */
export function lookupIn(arrays: Arrays): Lookup {
  return (name) => {
    const array = arrays[name];
    if (!array) throw new Error(`no array ${name}`);
    return array.ref;
  };
}

type LossWithAux = [loss: JaxArray, aux: JaxArray[]];
/** Mean loss [], the outputs that it is of, and what else is wanted; `onBlock` is to be told what each block gives. */
type Pass = (
  parameter: Lookup,
  onBlock: (h: JaxArray) => void,
) => [loss: JaxArray, logits: JaxArray, aux: JaxArray[]];

/**
 * Loss and auxiliary values of a pass, and the gradients of its objective by the parameters at `paths`; all
 * others are constants.
 */
function gradientOf(
  parameters: Arrays,
  paths: readonly string[],
  pass: Pass,
  objective?: Objective,
): [LossWithAux, Arrays] {
  const constant = lookupIn(parameters);
  // Where all is frozen there is nothing to differentiate by.
  if (paths.length === 0) {
    const [loss, logits, aux] = pass(constant, () => undefined);
    logits.dispose();
    return [[loss, aux], {}];
  }
  const learning: Arrays = Object.fromEntries(paths.map((path) => [path, constant(path)]));
  const held: JaxArray[] = [];
  const differentiate = valueAndGrad(
    (variables: Arrays): LossWithAux => {
      const [loss, logits, aux] = pass(
        (path) => variables[path]?.ref ?? constant(path),
        (h) => void held.push(h.ref),
      );
      if (objective) return [objective(loss.ref, logits), [loss, ...aux]];
      logits.dispose();
      return [loss.ref, [loss, ...aux]];
    },
    { hasAux: true },
  );
  const [[, [loss, ...aux]], gradients] = differentiate(learning) as unknown as [
    [JaxArray, [JaxArray, ...JaxArray[]]],
    Arrays,
  ];
  // jax-js 0.1.25 frees what a value was computed from by recursion: all of a deep network at once would overflow the stack.
  for (const h of held.reverse()) h.dispose();
  return [[loss, aux], gradients];
}
