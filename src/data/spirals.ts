/**
 * Two intertwined spirals (Lang and Witbrock 1988, "Learning to tell two spirals apart"): generated, small, and
 * not linearly separable. The default data that needs no download.
 */
import { Random } from "../base/random.js";
import type { Dataset } from "../contracts/dataset.js";
import { datasetFromArrays } from "./arrays.js";
import type { RowsInput } from "./rows.js";

export interface SpiralsOptions {
  /** Points to train on, held-out ones included; default 2,000. */
  readonly train?: number;
  /** Points to test on; default 1,000. */
  readonly test?: number;
  /** How often each arm goes round; default 1.75. */
  readonly turns?: number;
  /** Standard deviation added to each coordinate; the arms reach to radius 1; default 0.02. */
  readonly noise?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** inputShape [2], 2 classes, coordinates in about −1 .. 1. */
export function makeSpirals(options: SpiralsOptions = {}): Dataset {
  const { train = 2_000, test = 1_000, turns = 1.75, noise = 0.02, seed = 0 } = options;
  const points = (count: number, label: string): RowsInput =>
    makePoints(count, turns, noise, Random.forLabel(seed, `spirals/${label}`));
  return datasetFromArrays({
    name: "spirals",
    inputShape: [2],
    classes: 2,
    train: points(train, "train"),
    test: points(test, "test"),
    splitSeed: seed,
  });
}

function makePoints(count: number, turns: number, noise: number, random: Random): RowsInput {
  const inputs = new Float32Array(count * 2);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const arm = i % 2;
    // The square root spreads the points evenly over the length of the arm.
    const radius = Math.sqrt(0.02 + 0.98 * random.uniform());
    const angle = radius * turns * 2 * Math.PI + arm * Math.PI;
    inputs[2 * i] = radius * Math.cos(angle) + noise * random.normal();
    inputs[2 * i + 1] = radius * Math.sin(angle) + noise * random.normal();
    labels[i] = arm;
  }
  return { inputs, labels };
}
