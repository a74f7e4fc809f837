/**
 * Tensors in the memory of a device: counted, and freed at once when nobody uses them any more. A garbage collector does not
 * know how large they are.
 */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import { formatSpec, sizeOf, type TensorSpec } from "../../../contracts/tensor.js";

/** Elements of every dtype take four bytes there, those of bool one. */
function bytesOf({ shape, dtype }: TensorSpec): number {
  return sizeOf(shape) * (dtype === "bool" ? 1 : 4);
}

export class DeviceMemory {
  #tensors = 0;
  #bytes = 0;

  /** Tensors that are alive. */
  get tensors(): number {
    return this.#tensors;
  }

  /** Of the tensors that are alive; what ONNX Runtime keeps for later ones is not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes over a tensor that ONNX Runtime has made. */
  adopt(tensor: OrtTensor, spec: TensorSpec): DeviceTensor {
    this.#tensors++;
    this.#bytes += bytesOf(spec);
    return new DeviceTensor(tensor, spec, () => {
      this.#tensors--;
      this.#bytes -= bytesOf(spec);
      tensor.dispose();
    });
  }
}

/** One tensor, used by whoever made it and by everyone who retains it. */
export class DeviceTensor {
  readonly tensor: OrtTensor;
  readonly spec: TensorSpec;
  readonly #free: () => void;
  #users = 1;

  constructor(tensor: OrtTensor, spec: TensorSpec, free: () => void) {
    this.tensor = tensor;
    this.spec = spec;
    this.#free = free;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  /** The last to release it frees it. */
  release(): void {
    if (this.#users === 0) throw new RangeError(`a tensor ${formatSpec(this.spec)} was released twice`);
    this.#users--;
    if (this.#users === 0) this.#free();
  }
}
