/** What stands for the engines of ONNX Runtime in a browser's bundle. */
import { KasminaError } from "../base/errors.js";
import type { Backend } from "./backend.js";

/** @throws KasminaError `engine`, always */
export function createNativeBackend(): Promise<Backend> {
  return Promise.reject(new KasminaError("engine", "the native engine needs Node"));
}

/** @throws KasminaError `engine`, always */
export function createCudaBackend(): Promise<Backend> {
  return Promise.reject(new KasminaError("engine", "the gpu:cuda engine needs Node"));
}

/** @throws KasminaError `engine`, always */
export function createGpuBackend(): Promise<Backend> {
  return Promise.reject(new KasminaError("engine", "the gpu engine needs Node"));
}
