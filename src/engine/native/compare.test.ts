/** The native back end against the WebAssembly one, primitive by primitive. */
import type { Primitive } from "../ir.js";
import { describeComparison } from "../primitives-compared.conformance.js";
import { createNativeBackend } from "./native-backend.js";

/** Rows of the lowering table that name what they cannot do. */
const UNSUPPORTED: ReadonlySet<Primitive> = new Set([
  "triangular_solve",
  "cholesky",
  "lu",
  "jacobi_eigh",
  "fft",
]);

describeComparison("native", () => createNativeBackend({ threads: 2 }), {
  refused: ({ primitive }) =>
    UNSUPPORTED.has(primitive)
      ? new RegExp(`lowering my step: the native engine has no ${primitive}\\(float32\\[[\\d,]+\\]`)
      : undefined,
});
