/** Listens to a run while it goes on, and ends it where it is good enough. */
import { grow } from "kasmina";

const enough = new AbortController();

export const run = await grow({
  data: "spirals",
  signal: enough.signal,
  onEpoch: ({ epoch, trainLoss, valAccuracy }) => {
    console.log(`epoch ${epoch}: training loss ${trainLoss.toFixed(4)}, accuracy ${valAccuracy.toFixed(3)}`);
    if (valAccuracy > 0.8) enough.abort();
  },
  onEvent: ({ name, seedId, attributes }) => {
    if (name === "seed_stage") console.log(`${seedId}: ${attributes.from} → ${attributes.to}`);
  },
});
console.log(run.ended, run.steps);
