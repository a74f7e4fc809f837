/**
 * Copies tensors to the device and back. ONNX Runtime 1.30 ends the process where a tensor on the device is asked for its elements
 * (`getData`), so each way is a model of one node, whose output is left on the one side or the other.
 */
import type { InferenceSession } from "onnxruntime-node";
import { KasminaError } from "../../../base/errors.js";
import {
  type DType,
  formatSpec,
  type Tensor,
  type TensorData,
  type TensorSpec,
} from "../../../contracts/tensor.js";
import { GraphBuilder } from "../../onnx/graph.js";
import { WEBGPU } from "../../onnx/operator-set.js";
import { writeOnnx } from "../../onnx/write-onnx.js";
import { firstLine, type Ort } from "../ort.js";
import { ortTensor } from "../session.js";
import type { DeviceMemory, DeviceTensor } from "./device-memory.js";
import { createDeviceSession, deviceFailure } from "./device-session.js";

/** The provider has no Identity for bool. */
const CARRIER: { readonly [D in DType]: Exclude<DType, "bool"> } = {
  float32: "float32",
  int32: "int32",
  uint32: "uint32",
  bool: "int32",
};

type Way = "upload" | "download";

export class Transfers {
  readonly #ort: Ort;
  readonly #memory: DeviceMemory;
  /** By way, dtype and number of dimensions; the sizes are free. */
  readonly #sessions = new Map<string, Promise<InferenceSession>>();
  #uploadedBytes = 0;
  #downloadedBytes = 0;

  constructor(ort: Ort, memory: DeviceMemory) {
    this.#ort = ort;
    this.#memory = memory;
  }

  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  get downloadedBytes(): number {
    return this.#downloadedBytes;
  }

  async upload(tensor: Tensor): Promise<DeviceTensor> {
    const { shape, dtype } = tensor;
    const data = dtype === "bool" ? Int32Array.from(tensor.data) : tensor.data;
    const given = ortTensor(this.#ort, { shape, dtype: CARRIER[dtype], data });
    const copy = await this.#copy("upload", tensor, given);
    this.#uploadedBytes += data.byteLength;
    return this.#memory.adopt(copy, { shape, dtype });
  }

  async download({ tensor, spec }: DeviceTensor): Promise<TensorData> {
    const copy = await this.#copy("download", spec, tensor);
    const data = copy.data as TensorData;
    this.#downloadedBytes += data.byteLength;
    return spec.dtype === "bool" ? Uint8Array.from(data) : data;
  }

  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session.catch(() => undefined))?.release();
  }

  async #copy(way: Way, spec: TensorSpec, given: DeviceTensor["tensor"]): Promise<DeviceTensor["tensor"]> {
    try {
      const session = await this.#sessionFor(way, spec);
      const { o0 } = await session.run({ i0: given });
      if (o0) return o0;
    } catch (error) {
      const problem = deviceFailure(error) ?? `the ${way} of ${formatSpec(spec)} failed: ${firstLine(error)}`;
      throw new KasminaError("engine", problem, { cause: error });
    }
    throw new KasminaError("engine", `ONNX Runtime returned nothing for the ${way} of ${formatSpec(spec)}`);
  }

  #sessionFor(way: Way, { dtype, shape: { length: rank } }: TensorSpec): Promise<InferenceSession> {
    const key = `${way} ${dtype} ${rank}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const location = way === "upload" ? "gpu-buffer" : "cpu";
    const session = createDeviceSession(this.#ort, copyModel(way, dtype, rank), { o0: location });
    this.#sessions.set(key, session);
    return session;
  }
}

function copyModel(way: Way, dtype: DType, rank: number): Uint8Array {
  const graph = new GraphBuilder();
  const sizes = Array<number>(rank).fill(1);
  const carrier = CARRIER[dtype];
  const value = graph.input(way === "upload" ? carrier : dtype, sizes);
  const copy = carrier === dtype ? graph.copy(value) : graph.cast(value, way === "upload" ? dtype : carrier);
  const shape = sizes.map((_, axis) => `d${axis}`);
  return writeOnnx({
    nodes: graph.nodes,
    inputs: [{ name: "i0", value, shape }],
    outputs: [{ name: "o0", value: copy, shape }],
    operatorSet: WEBGPU,
  });
}
