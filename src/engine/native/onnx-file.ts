/** A model in an ONNX file, run as it is by ONNX Runtime: what a program that knows nothing of Kasmina would do with it. */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { KasminaError } from "../../base/errors.js";
import { sizeOf } from "../../contracts/tensor.js";
import { type Model, readModel } from "../onnx/import/read-model.js";
import { firstLine, loadOrt, type Ort } from "./ort.js";

/** Rows at once, where the model takes any number. */
const BATCH = 256;

export class OnnxFile {
  /** Shape of one row. */
  readonly inputShape: readonly number[];
  /** Axes of the first output, the batch counted; 0 where the file does not say. */
  readonly outputRank: number;
  /** Texts that whoever wrote the file put into it. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #ort: Ort;
  readonly #session: InferenceSession;
  readonly #model: Model;

  private constructor(ort: Ort, session: InferenceSession, model: Model, inputShape: readonly number[]) {
    this.#ort = ort;
    this.#session = session;
    this.#model = model;
    this.metadata = model.metadata;
    this.inputShape = inputShape;
    this.outputRank = model.outputs[0]?.shape.length ?? 0;
  }

  /**
   * @throws KasminaError `invalid_data` for a file that is no model of one input with a known row shape, `engine` where ONNX
   * Runtime is missing or refuses it
   */
  static async open(bytes: Uint8Array): Promise<OnnxFile> {
    const model = readModel(bytes);
    const inputShape = rowShape(model);
    const ort = await loadOrt();
    try {
      const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
      return new OnnxFile(ort, session, model, inputShape);
    } catch (error) {
      throw new KasminaError("engine", `ONNX Runtime refuses the model: ${firstLine(error)}`, {
        cause: error,
      });
    }
  }

  /** The first output for rows, some at a time: [rows, ...]. */
  async *outputs(rows: Float32Array | Int32Array): AsyncGenerator<Float32Array> {
    const [input] = this.#model.inputs;
    const [output] = this.#model.outputs;
    const rowSize = sizeOf(this.inputShape);
    const count = rows.length / rowSize;
    const fixed = input?.shape[0];
    const batch = typeof fixed === "number" ? fixed : Math.min(BATCH, count);
    for (let from = 0; from < count; from += batch) {
      const used = Math.min(batch, count - from);
      const size = typeof fixed === "number" ? batch : used;
      const feed = this.#feed(rows.subarray(from * rowSize, (from + used) * rowSize), size);
      const fetched = await this.#session.run({ [String(input?.name)]: feed });
      const data = fetched[String(output?.name)]?.data;
      if (!(data instanceof Float32Array))
        throw new KasminaError("invalid_data", `output ${output?.name} of the model is not float32`);
      yield data.slice(0, (data.length / size) * used);
    }
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** A batch of the input's own type, what is missing filled with zeros. */
  #feed(rows: Float32Array | Int32Array, size: number): OrtTensor {
    const { Tensor } = this.#ort;
    const shape = [size, ...this.inputShape];
    const dtype = this.#model.inputs[0]?.type;
    if (dtype === "int64") {
      const data = new BigInt64Array(sizeOf(shape));
      rows.forEach((value, i) => {
        data[i] = BigInt(value);
      });
      return new Tensor("int64", data, shape);
    }
    const data = dtype === "int32" ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape));
    data.set(rows);
    return dtype === "int32"
      ? new Tensor("int32", data as Int32Array, shape)
      : new Tensor("float32", data as Float32Array, shape);
  }
}

function rowShape({ inputs: [input, ...more] }: Model): number[] {
  if (!input || more.length > 0)
    throw new KasminaError(
      "invalid_data",
      `the model has ${more.length + 1} inputs: one is what rows can be given to`,
    );
  const shape = input.shape.slice(1);
  const open = shape.findIndex((size) => typeof size !== "number");
  if (open >= 0)
    throw new KasminaError("invalid_data", `input ${input.name} of the model has rows of no fixed shape`);
  return shape as number[];
}
