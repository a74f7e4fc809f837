export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContent,
  type SafetensorsLimits,
} from "./safetensors.js";
export {
  checkedTensor,
  type DType,
  float32,
  formatSpec,
  int32,
  sameSpec,
  scalar,
  sizeOf,
  specOf,
  type Tensor,
  type TensorData,
  type TensorSpec,
  type TensorSpecs,
  type Tensors,
} from "./tensor.js";
