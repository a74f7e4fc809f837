/** The data of the models that `import-size` makes: sequences of tokens, just enough for one step. */
import type { Dataset } from "kasmina/contracts";

const LENGTH = 16;
const VOCABULARY = 64;
const ROWS = 2;

function rows(): Dataset["train"] {
  const tokens = Int32Array.from({ length: ROWS * LENGTH }, (_, i) => (i * 7) % VOCABULARY);
  return { inputs: tokens, labels: tokens, scale: 1, labelShape: [LENGTH], count: ROWS };
}

const data: Dataset = {
  name: "tokens",
  inputShape: [LENGTH],
  inputDType: "int32",
  classes: VOCABULARY,
  train: rows(),
  heldOut: rows(),
  test: rows(),
};

export const TEXT = { data, epochs: 1, batch: ROWS, optimizer: "sgd" } as const;
