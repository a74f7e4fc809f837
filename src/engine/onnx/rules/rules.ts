/** One row for every primitive of the IR; a missing row does not compile. */

import { KasminaError } from "../../../base/errors.js";
import { formatSpec } from "../../../contracts/tensor.js";
import type { Primitive } from "../../ir.js";
import { convRule, poolRule, poolTransposeRule } from "./convolution.js";
import { dotRule } from "./dot.js";
import { elementwiseRules } from "./elementwise-rules.js";
import { indexRules } from "./index-rules.js";
import { movementRules } from "./movement-rules.js";
import { randomBitsRule } from "./random-bits.js";
import { reduceRule } from "./reduce.js";
import type { Rule } from "./rule.js";

type Rules = { readonly [P in Primitive]: Rule<P> };

export const RULES: Rules = {
  ...elementwiseRules,
  ...movementRules,
  ...indexRules,
  reduce: reduceRule,
  dot: dotRule,
  conv: convRule,
  pool: poolRule,
  pool_transpose: poolTransposeRule,
  random_bits: randomBitsRule,
  triangular_solve: unsupported,
  cholesky: unsupported,
  lu: unsupported,
  jacobi_eigh: unsupported,
  fft: unsupported,
};

/** ONNX has no operator for it; the wasm back end does it. */
function unsupported<P extends Primitive>({ equation }: Parameters<Rule<P>>[0]): never {
  throw new KasminaError(
    "engine",
    `the native engine has no ${equation.primitive}(${equation.inputs.map(formatSpec).join(", ")}); the wasm engine has`,
  );
}
