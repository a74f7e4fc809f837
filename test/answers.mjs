/**
 * What a program without Kasmina makes of exported networks, in plain ONNX Runtime: `node answers.mjs table <file.onnx> <rows.json>`
 * prints what a network with preprocessing answers to raw rows; `node answers.mjs text <file.onnx> <run.json> <prompt> <length>` goes
 * on with a text, by what the run recorded of it.
 */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [kind, file, about, prompt = "", length = "0"] = process.argv.slice(2);
const session = await InferenceSession.create(file);
const input = JSON.parse(readFileSync(about, "utf8"));

async function ofTable(rows) {
  const feeds = session.inputMetadata.map(({ name, type }) => {
    const cells = rows.map((row) => row[name] ?? (type === "string" ? "" : Number.NaN));
    return [name, new Tensor(type, type === "string" ? cells : Float64Array.from(cells), [rows.length, 1])];
  });
  const { prediction, probabilities } = await session.run(Object.fromEntries(feeds));
  const classes = probabilities.dims[1];
  return rows.map((_, i) => ({
    prediction: prediction.data[i],
    probabilities: [...probabilities.data.slice(i * classes, (i + 1) * classes)],
  }));
}

async function ofText({ class_names: characters, input_shape: [window] }) {
  const [name] = session.inputNames;
  const text = [...prompt];
  for (let i = 0; i < Number(length); i++) {
    const seen = text.slice(-window).map((character) => characters.indexOf(character));
    const ids = Int32Array.from({ length: window }, (_, at) => seen[at] ?? 0);
    const { logits } = await session.run({ [name]: new Tensor("int32", ids, [1, window]) });
    const next = logits.data.slice((seen.length - 1) * characters.length, seen.length * characters.length);
    next[0] = Number.NEGATIVE_INFINITY; // what was never seen is never said
    text.push(characters[next.indexOf(Math.max(...next))]);
  }
  return text.slice(prompt.length).join("");
}

console.log(JSON.stringify(await (kind === "table" ? ofTable(input) : ofText(input.data))));
