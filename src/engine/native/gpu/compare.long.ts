/** The GPU back end against the WebAssembly one, primitive by primitive and in random programs. */
import { describe } from "vitest";
import type { Primitive } from "../../ir.js";
import { describeComparison, type NamedCase, wgslTolerance } from "../../primitives-compared.conformance.js";
import { describeRandomPrograms } from "../../random-programs-compared.conformance.js";
import { createGpuBackend } from "./gpu-backend.js";
import { adapter } from "./software-adapter.fixture.js";

/** What the provider has no code for, and nothing else gives. */
const REFUSED: { readonly [P in Primitive]?: RegExp } = {
  bit_combine: /no BitwiseAnd\(uint32, uint32\) for bit_combine\(uint32\[4\], float32\[\]\), no BitwiseOr/,
  bit_count: /no BitwiseAnd\(uint32, uint32\) for bit_count\(uint32\[4\]\); the native engine has/,
  bitcast: /no BitCast\((float32|uint32)\) for bitcast\(/,
  random_bits: /no BitwiseXor\(uint32, uint32\).* for random_bits\(/,
  sort: /no TopK\(int32, int64\).* for sort\(|no GatherElements\(int32, int64\) for sort\(/,
  argsort: /no GatherElements\(int32, int64\) for argsort\(/,
  triangular_solve: /no triangular_solve\(float32/,
  cholesky: /no cholesky\(float32/,
  lu: /no lu\(float32/,
  jacobi_eigh: /no jacobi_eigh\(float32/,
  fft: /no fft\(float32/,
};

function refused({ primitive, inputs }: NamedCase): RegExp | undefined {
  const [first] = inputs;
  if (primitive === "mod" && first?.dtype === "float32") return /no Mod\(float32, float32\) for mod\(/;
  // In three dimensions, of groups: found out when it runs.
  if (primitive === "conv" && first?.shape.length === 5) return /in conv\(float32\[.*Conv3D does not/;
  // Of bool they are logical operators.
  if (primitive === "bit_combine" && first?.dtype === "bool") return undefined;
  return REFUSED[primitive];
}

describe.skipIf(!adapter)("on a device", () => {
  describeComparison("gpu", () => createGpuBackend(), {
    refused,
    toleranceOf: wgslTolerance,
  });
  describeRandomPrograms("gpu", () => createGpuBackend(), { programs: 30, gradients: 15 });
});
