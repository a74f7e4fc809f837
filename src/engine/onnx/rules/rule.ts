/** What a lowering rule is given and returns. */
import type { Equation, ParamsOf, Primitive, Variable } from "../../ir.js";
import type { GraphBuilder, Value } from "../graph.js";
import { equalShapes } from "../graph.js";
import type { OnnxType } from "../onnx-type.js";
import { layOut } from "../views/align.js";
import type { View } from "../views/view.js";

/** An equation with the views of its operands. */
export interface Lowered<P extends Primitive = Primitive> {
  readonly equation: Equation<P>;
  readonly inputs: readonly View[];
  /** For each operand, how it was computed, where an equation computed it. */
  readonly producers: readonly (Lowered | undefined)[];
}

export interface Context<P extends Primitive = Primitive> extends Lowered<P> {
  readonly graph: GraphBuilder;
  readonly params: ParamsOf<P>;
  readonly outputs: readonly Variable[];
  /** Operators of ONNX Runtime's own may be used; false for files that are for everybody. */
  readonly contrib: boolean;
}

/** The views of an equation's outputs. Throws a RangeError for a case that it does not handle. */
export type Rule<P extends Primitive = Primitive> = (context: Context<P>) => readonly View[];

/** The equation, where it is one of `primitive`. */
export function asPrimitive<P extends Primitive>(
  lowered: Lowered | undefined,
  primitive: P,
): Lowered<P> | undefined {
  return lowered?.equation.primitive === primitive ? (lowered as Lowered<P>) : undefined;
}

export function inputOf(context: Context, index: number): View {
  const view = context.inputs[index];
  if (!view) throw new RangeError(`operand ${index} is missing`);
  return view;
}

export function outputOf(context: Context): Variable {
  const [output] = context.outputs;
  if (!output) throw new RangeError("no output");
  return output;
}

/** The same view of other elements: those that `make` computes from its base, one for one. */
export function mapBase(view: View, make: (base: Value) => Value): View {
  const base = make(view.base);
  if (!equalShapes(base.shape, view.base.shape)) {
    throw new RangeError(`expected a base of shape [${view.base.shape}], got [${base.shape}]`);
  }
  return { ...view, base };
}

export function castView(graph: GraphBuilder, view: View, dtype: OnnxType): View {
  return mapBase(view, (base) => graph.cast(base, dtype));
}

/** Lays operands out for each other, emits an operator on them, and wraps its result. */
export function elementwise(
  graph: GraphBuilder,
  views: readonly View[],
  shape: readonly number[],
  emit: (operands: readonly Value[], shape: readonly number[]) => Value,
): View {
  const layout = layOut(graph, views, shape);
  return layout.view(emit(layout.operands, layout.shape));
}
