/**
 * The gradient of a convolution's input. Traced, it is the gradient of the patches (that of the output times the
 * filter) cut into the places of a window, each padded to where it was taken from, and all of them added. That is a
 * convolution again, of the output's gradient with the filter turned round: windows, and one product, in a third of
 * the time.
 */
import type { Equation } from "../../ir.js";
import type { GraphBuilder } from "../graph.js";
import { concatenate, pad, slice } from "../views/movement.js";
import { isReal, reshape, shapeOf, type View } from "../views/view.js";
import { dot } from "./dot.js";
import { asPrimitive, type Context, type Lowered } from "./rule.js";

type Width = readonly (readonly [number, number])[];

/** Part of the last dimension of a tensor, and the zeros around it. */
interface Piece {
  /** What it is a part of, and where it begins there. */
  readonly of: Lowered;
  readonly start: number;
  readonly width: Width;
}

/** What is multiplied to give rows of columns: x [rows, inner] and y [columns, inner]. */
interface Factors {
  readonly x: View;
  readonly y: View;
}

/** A cut of a sum of padded pieces of a matrix product, as windows × matrix; undefined for anything else. */
export function transposedWindows(context: Context<"shrink">): View | undefined {
  const { graph, params } = context;
  const pieces = paddedPieces(context.producers[0]);
  const [first] = pieces ?? [];
  if (!pieces || !first || pieces.length < 2) return undefined;
  const { of, width } = first;
  const shape = of.equation.outputs[0]?.shape ?? [];
  const last = shape.length - 1;
  const channels = params.slice[last]?.[1] ?? 0;
  const inOrder = [...pieces].sort((a, b) => a.start - b.start);
  const isWhole = inOrder.every((piece, i) => piece.of === of && piece.start === i * channels);
  const isFlat = inOrder.every((piece) => piece.width[last]?.every((zeros) => zeros === 0));
  const factors = factorsOf(of);
  const isCut = params.slice[last]?.[0] !== 0 || inOrder.length * channels !== shape[last];
  if (!isWhole || !isFlat || isCut || !factors || width.flat().some((zeros) => zeros < 0)) return undefined;

  const inner = shapeOf(factors.x).at(-1) ?? 0;
  const x = reshape(graph, factors.x, shape.with(last, inner));
  const patches = windowsOf(graph, x, inOrder, params.slice);
  const filter = reshape(graph, factors.y, [inOrder.length, channels, inner]);
  const [places = [], outputs = [], inputs = []] = filter.dims;
  const lead = shape.slice(0, last);
  return dot(
    graph,
    { ...patches, dims: [...patches.dims.slice(0, last), [], patches.dims[last] ?? []] },
    { ...filter, dims: [...lead.map(() => []), outputs, [...places, ...inputs]] },
    context.contrib,
  );
}

/** The pieces that are added up; undefined where anything else is among them. */
function paddedPieces(lowered: Lowered | undefined): readonly Piece[] | undefined {
  const padded = asPrimitive(lowered, "pad");
  if (padded) {
    const piece = pieceOf(padded);
    return piece && [{ ...piece, width: padded.equation.params.width }];
  }
  const sum = asPrimitive(lowered, "add");
  const [left, right] = sum ? [paddedPieces(sum.producers[0]), paddedPieces(sum.producers[1])] : [];
  return left && right && [...left, ...right];
}

/** What the operand of an equation is a part of, along its last dimension, through any number of splits. */
function pieceOf({ equation, producers }: Lowered): Omit<Piece, "width"> | undefined {
  const split = asPrimitive(producers[0], "split");
  if (!split) return undefined;
  const { axis, sizes } = split.equation.params;
  const place = split.equation.outputs.findIndex((output) => isOperand(equation, output.id));
  if (axis !== (split.equation.outputs[0]?.shape.length ?? 0) - 1 || place < 0) return undefined;
  const start = sizes.slice(0, place).reduce((sum, size) => sum + size, 0);
  const outer = pieceOf(split);
  if (outer) return { of: outer.of, start: outer.start + start };
  const [of] = split.producers;
  return of && { of, start };
}

function isOperand({ inputs: [input] }: Equation, id: number): boolean {
  return input?.kind === "variable" && input.id === id;
}

/** The factors of a matrix product, in any shape of the same last dimension. */
function factorsOf(lowered: Lowered): Factors | undefined {
  const reshaped = asPrimitive(lowered, "reshape");
  const [product] = reshaped?.producers ?? [];
  if (reshaped) return product && lastOf(product) === lastOf(reshaped) ? factorsOf(product) : undefined;
  const [x, y] = asPrimitive(lowered, "dot")?.inputs ?? [];
  if (!x || !y) return undefined;
  return matrices(x, y) ?? matrices(y, x);
}

function lastOf({ equation }: Lowered): number | undefined {
  return equation.outputs[0]?.shape.at(-1);
}

/** Where x has no part in the columns and y none in the rows. */
function matrices(x: View, y: View): Factors | undefined {
  const columns = x.dims.length - 2;
  const isRepeated = (view: View, dims: View["dims"]) => dims.flat().every((axis) => !isReal(view, axis));
  if (columns < 0 || y.dims.length !== x.dims.length) return undefined;
  if (!isRepeated(x, x.dims.slice(columns, -1)) || !isRepeated(y, y.dims.slice(0, columns))) return undefined;
  return { x: { ...x, dims: x.dims.toSpliced(columns, 1) }, y: { ...y, dims: y.dims.slice(columns) } };
}

/** [..., places × inner]: for each place of the result, what each piece would have brought there. */
function windowsOf(graph: GraphBuilder, x: View, pieces: readonly Piece[], cut: Width): View {
  const shape = shapeOf(x);
  const last = shape.length - 1;
  /** Where in x a piece's part of the result begins. */
  const starts = pieces.map(({ width }) =>
    cut.slice(0, last).map(([start], d) => start - (width[d]?.[0] ?? 0)),
  );
  const zeros = shape.map((size, d): [number, number] => {
    if (d === last) return [0, 0];
    const all = starts.map((start) => start[d] ?? 0);
    const [start, end] = cut[d] ?? [0, 0];
    return [Math.max(0, -Math.min(...all)), Math.max(0, Math.max(...all) + end - start - size)];
  });
  const padded = pad(graph, x, zeros);
  const windows = starts.map((start) =>
    slice(
      graph,
      padded,
      start.map((at, dim) => {
        const [from, to] = cut[dim] ?? [0, 0];
        return { dim, start: at + (zeros[dim]?.[0] ?? 0), count: to - from, step: 1 };
      }),
    ),
  );
  return concatenate(graph, windows, last);
}
