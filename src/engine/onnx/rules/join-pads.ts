/**
 * The gradient of a split, or of two slices, comes as a sum of padded pieces: each is surrounded by zeros, and no two
 * overlap. That sum is the pieces joined.
 */
import { concatenate } from "../views/movement.js";
import { shapeOf, type View } from "../views/view.js";
import { asPrimitive, type Context, type Lowered } from "./rule.js";

interface Piece {
  readonly view: View;
  /** Where it lies in the padded dimension. */
  readonly start: number;
  readonly size: number;
}

interface Pieces {
  readonly dim: number;
  readonly pieces: readonly Piece[];
}

/** The sum of two operands as a concatenation; undefined where it is none. */
export function joinPads(context: Context): View | undefined {
  const sum = piecesOf(context);
  const total = context.outputs[0]?.shape[sum?.dim ?? 0];
  if (!sum || total === undefined) return undefined;
  const inOrder = [...sum.pieces].sort((a, b) => a.start - b.start);
  const ends = inOrder.map(({ start, size }) => start + size);
  const isWhole = inOrder.every(({ start }, i) => start === (ends[i - 1] ?? 0)) && ends.at(-1) === total;
  if (!isWhole) return undefined;
  return concatenate(
    context.graph,
    inOrder.map(({ view }) => view),
    sum.dim,
  );
}

function piecesOf(lowered: Lowered | undefined): Pieces | undefined {
  const padded = asPrimitive(lowered, "pad");
  if (padded) return pieceOf(padded);
  const sum = asPrimitive(lowered, "add");
  if (!sum) return undefined;
  const [left, right] = [piecesOf(sum.producers[0]), piecesOf(sum.producers[1])];
  if (!left || left.dim !== right?.dim) return undefined;
  return { dim: left.dim, pieces: [...left.pieces, ...right.pieces] };
}

/** A tensor padded with zeros along one dimension. */
function pieceOf({ equation, inputs }: Lowered<"pad">): Pieces | undefined {
  const { width } = equation.params;
  const dims = width.flatMap(([before, after], dim) => (before !== 0 || after !== 0 ? [dim] : []));
  const [dim] = dims;
  const [view] = inputs;
  if (dims.length !== 1 || dim === undefined || !view) return undefined;
  const [before, after] = width[dim] ?? [0, 0];
  if (before < 0 || after < 0) return undefined;
  return { dim, pieces: [{ view, start: before, size: shapeOf(view)[dim] ?? 0 }] };
}
