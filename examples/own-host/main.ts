/** Grows a network that is not Kasmina's: your own blocks, your own data. Run it with `npm run example`. */
import { datasetFromArrays, defineBlock, defineHost, grow, openBackend, PlateauPolicy } from "kasmina";
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

/** Points of the plane, labelled by the sign of x·y: no straight line tells them apart. */
function quadrants(count: number, phase: number) {
  const inputs = Float32Array.from({ length: 2 * count }, (_, i) => Math.sin(phase + i * i * 0.37 + i));
  const labels = Int32Array.from({ length: count }, (_, i) => {
    const [x = 0, y = 0] = inputs.subarray(2 * i);
    return x * y > 0 ? 1 : 0;
  });
  return { inputs, labels };
}

const { backend } = await openBackend("auto");
export const result = await grow({
  runId: "own-host",
  host,
  policy: new PlateauPolicy({ blueprints: [{ id: "mlp-residual", parameters: {} }], germinateAtEpoch: 2 }),
  dataset: datasetFromArrays({
    name: "quadrants",
    inputShape: [2],
    classes: 2,
    train: quadrants(2000, 0),
    test: quadrants(500, 9),
  }),
  backend,
  epochs: 30,
  batch: 50,
});
await backend.dispose();
const seeds = result.seeds.map(({ seed }) => `${seed.id} ${seed.stage}`).join(", ");
console.log(`accuracy ${(100 * result.accuracy).toFixed(1)} %; seeds: ${seeds}`);
