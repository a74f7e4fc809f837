/** Blueprints that are there to be judged, and for nothing else: none of them is in the catalogue. */
import { numpy as np } from "@jax-js/jax";
import {
  BlueprintRegistry,
  builtinBlueprints,
  defineBlueprint,
  lecunNormal,
  linear,
  zeros,
} from "kasmina/nn";

/** So steep that neighbouring activations have nothing to do with each other's noise. */
const STEEPNESS = 1e4;

/** k(h) = B·sin(10⁴·A·h), B zero at first: what it adds depends on h, but not in a way that anything follows from. */
export const noise = defineBlueprint({
  id: "noise",
  form: "delta",
  bounds: {},
  supports: (shape) => shape.length >= 1,
  parameters: (shape) => {
    const width = shape.at(-1) ?? 0;
    return { a: { shape: [width, width], init: lecunNormal }, b: { shape: [width, width], init: zeros } };
  },
  apply: ({ a, b }, h) => linear(np.sin(linear(h, a).mul(STEEPNESS)), b),
});

/** k(h) = sin(10⁴·A·h) + b in the place of h: whatever the network knew at its slot is gone. */
export const havoc = defineBlueprint({
  id: "havoc",
  form: "replacement",
  bounds: {},
  supports: (shape) => shape.length >= 1,
  parameters: (shape) => {
    const width = shape.at(-1) ?? 0;
    return { a: { shape: [width, width], init: lecunNormal }, b: { shape: [width], init: zeros } };
  },
  apply: ({ a, b }, h) => np.sin(linear(h, a).mul(STEEPNESS)).add(b),
});

export const judgedBlueprints = new BlueprintRegistry([
  ...builtinBlueprints.ids.map((id) => builtinBlueprints.get(id)),
  noise,
  havoc,
]);
