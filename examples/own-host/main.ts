/** Grows a network of one's own on data of one's own. */
import { defineBlock, defineHost, grow } from "kasmina";
import { heNormal, linear, relu, zeros } from "kasmina/nn";

const WIDTH = 8;

const host = defineHost({
  id: "two-layers",
  inputShape: [2],
  classes: 2,
  blocks: [
    defineBlock({
      name: "features",
      parameters: { w: { shape: [WIDTH, 2], init: heNormal }, b: { shape: [WIDTH], init: zeros } },
      outputShape: [WIDTH],
      slot: true, // seeds may be grafted after this block
      apply: ({ w, b }, x) => relu(linear(x, w, b)),
    }),
    defineBlock({
      name: "head",
      parameters: { w: { shape: [2, WIDTH], init: heNormal }, b: { shape: [2], init: zeros } },
      outputShape: [2],
      apply: ({ w, b }, h) => linear(h, w, b),
    }),
  ],
});

// Points of the plane, labelled by the sign of x·y: no straight line tells them apart.
const inputs = Array.from({ length: 2500 }, (_, i) => [
  Math.sin(i * i * 0.37 + i),
  Math.sin(i * i * 0.73 + 2 * i),
]);
const labels = inputs.map(([x = 0, y = 0]) => (x * y > 0 ? 1 : 0));

export const run = await grow({ host, data: { train: { inputs, labels } }, epochs: 30, policy: "epoch:3" });
console.log(run.accuracy, run.seeds);
