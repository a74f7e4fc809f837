/** Predicts with what was grown, and writes it as an ONNX model that any runtime takes. */
import { grow } from "kasmina";
import { InferenceSession, Tensor } from "onnxruntime-node";

const rows = [
  [0.3, 0.1],
  [-0.3, -0.1],
];

const { network } = await grow({ data: "spirals" });
export const { labels, probabilities } = await network.predict(rows);
console.log(labels, probabilities);

await network.toOnnx("grown.onnx");
const session = await InferenceSession.create("grown.onnx");
const { logits } = await session.run({ input: new Tensor("float32", rows.flat(), [rows.length, 2]) });
export const scores = logits?.data as Float32Array;
console.log(scores);
