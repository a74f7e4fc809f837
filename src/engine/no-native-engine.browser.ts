/** What stands for the native engine in a browser's bundle. */
import { KasminaError } from "../base/errors.js";
import type { Backend } from "./backend.js";

/** @throws KasminaError `engine`, always */
export function createNativeBackend(): Promise<Backend> {
  return Promise.reject(new KasminaError("engine", "the native engine needs Node"));
}
