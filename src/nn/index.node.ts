/** What of the layers, hosts and blueprints needs Node. */
export {
  describeOnnxFile,
  type OnnxFileOptions,
  onnxFileDigest,
  openOnnxHost,
} from "./hosts/onnx/onnx-file.node.js";
