/** Every operator that is supported, by name: `docs/onnx-operators.md` is made from this table. */
import { activationOperators } from "./activations.js";
import { arithmeticOperators } from "./arithmetic.js";
import { attentionOperators } from "./attention.js";
import { convolutionOperators } from "./convolution.js";
import { indexingOperators } from "./indexing.js";
import { logicOperators } from "./logic.js";
import { matrixOperators } from "./matrix.js";
import { normalizationOperators } from "./normalization.js";
import { poolingOperators } from "./pooling.js";
import { recurrentOperators } from "./recurrent.js";
import { reductionOperators } from "./reductions.js";
import { resizeOperators } from "./resize.js";
import type { Operator, OperatorRule } from "./rule.js";
import { shapeOperators } from "./shapes.js";

const OPERATORS = {
  ...arithmeticOperators,
  ...activationOperators,
  ...matrixOperators,
  ...convolutionOperators,
  ...poolingOperators,
  ...normalizationOperators,
  ...attentionOperators,
  ...recurrentOperators,
  ...resizeOperators,
  ...reductionOperators,
  ...shapeOperators,
  ...indexingOperators,
  ...logicOperators,
} satisfies Record<string, Operator>;

export const OPERATOR_NAMES: readonly string[] = Object.keys(OPERATORS).sort();

/** The operator of the standard by its name; undefined for one that is not supported. */
export function findOperator(name: string): Operator | undefined {
  return Object.hasOwn(OPERATORS, name) ? (OPERATORS as Record<string, Operator>)[name] : undefined;
}

/** The rule that holds in an operator set; undefined where the operator came later. */
export function ruleIn({ versions }: Operator, opset: number): OperatorRule | undefined {
  return versions.findLast(({ since }) => since <= opset)?.rule;
}

export type { Operator };
