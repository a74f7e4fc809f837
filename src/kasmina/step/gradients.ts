/** Loss and gradients of one step of a topology: the network's own loss, and a shadow loss for each seed that is not in the output yet. */
import { numpy as np, valueAndGrad } from "@jax-js/jax";
import type { Arrays, JaxArray } from "../../engine/index.js";
import { correct, crossEntropy } from "../../nn/index.js";
import { type ForwardInputs, forward, forwardFrom, type Lookup } from "./forward.js";
import { isShadow, learningPlan, type SeedSite, type Topology } from "./topology.js";

export interface StepGradients {
  /** Mean cross-entropy of the batch, in nats: []. */
  readonly loss: JaxArray;
  /** Fraction of right predictions in the batch: []. */
  readonly accuracy: JaxArray;
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
  x: JaxArray,
  y: JaxArray,
): StepGradients {
  const plan = learningPlan(topology);
  const control = lookupIn(controls);
  const sites = [...plan.shadows.keys()];

  const [[loss, [accuracy, ...activations]], gradients] = networkGradients(
    { topology, control },
    { parameters, paths: plan.main, x, y, keepAt: isShadow },
  );

  const shadowLosses = new Map<SeedSite, JaxArray>();
  for (const [i, site] of sites.entries()) {
    const h = activations[i];
    if (!h) continue;
    const [[shadowLoss], shadowGradients] = gradientOf(
      parameters,
      plan.shadows.get(site) ?? [],
      (parameter) => {
        const logits = forwardFrom({ topology, parameter, control }, site, h.ref);
        return [crossEntropy(logits, y.ref).mean(), []];
      },
    );
    shadowLosses.set(site, shadowLoss);
    Object.assign(gradients, shadowGradients);
  }
  return { loss, accuracy, shadowLosses, gradients };
}

/** What the network's own pass is run on and differentiated by. */
export interface NetworkPass {
  readonly parameters: Arrays;
  /** The parameters to differentiate by; all others are constants. */
  readonly paths: readonly string[];
  /** Not consumed. */
  readonly x: JaxArray;
  /** Not consumed. */
  readonly y: JaxArray;
  /** Sites whose activation is wanted. Default none. */
  readonly keepAt?: (site: SeedSite) => boolean;
}

/** The network's own loss [] with its accuracy [] and the activations asked for, and its gradients by path. */
export function networkGradients(
  inputs: Omit<ForwardInputs, "parameter">,
  { parameters, paths, x, y, keepAt }: NetworkPass,
): [[loss: JaxArray, aux: [accuracy: JaxArray, ...activations: JaxArray[]]], Arrays] {
  const result = gradientOf(parameters, paths, (parameter) => {
    const activations: JaxArray[] = [];
    const logits = forward({ ...inputs, parameter }, x.ref, {
      onSite: (site, h) => void (keepAt?.(site) && activations.push(h)),
    });
    return [crossEntropy(logits.ref, y.ref).mean(), [correct(logits, y.ref).mean(), ...activations]];
  });
  return result as ReturnType<typeof networkGradients>;
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

/** Value, auxiliary values and gradients of `loss` by the parameters at `paths`; all others are constants. */
function gradientOf(
  parameters: Arrays,
  paths: readonly string[],
  loss: (parameter: Lookup) => LossWithAux,
): [LossWithAux, Arrays] {
  const constant = lookupIn(parameters);
  const learning: Arrays = Object.fromEntries(paths.map((path) => [path, constant(path)]));
  const differentiate = valueAndGrad(
    (variables: Arrays) => loss((path) => variables[path]?.ref ?? constant(path)),
    { hasAux: true },
  );
  return differentiate(learning) as unknown as [LossWithAux, Arrays];
}
