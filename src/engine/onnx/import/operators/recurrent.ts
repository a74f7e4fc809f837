/**
 * RNN, GRU and LSTM, written out step by step: the weights of all steps meet the input in one product before.
 *
 * https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html
 */
import { nn, numpy as np } from "@jax-js/jax";
import type { JaxArray } from "../../../trace.js";
import type { NodeContext } from "../node-context.js";
import { traced, type Value } from "../value.js";
import { tanh } from "./activations.js";
import { matmul } from "./matrix.js";
import { type Operator, type OperatorRule, operator } from "./rule.js";

/** Steps that are written out; each is some forty equations, forward and back. */
const MAX_STEPS = 64;

/** One step: what the input and the state before give, and the new state. */
interface Cell {
  /** Gates in a row of W, R and B. */
  readonly gates: number;
  /** Names of its activation functions, by default and as supported. */
  readonly activations: readonly string[];
  /** Whether it carries a second state. */
  readonly hasCell: boolean;
  /** `x` [batch, gates·hidden] is W·x + its bias already. Consumes `x` and the states; borrows `weights`. */
  step(x: JaxArray, state: State, weights: RecurrentWeights): State;
}

interface State {
  readonly h: JaxArray;
  readonly c?: JaxArray;
}

interface RecurrentWeights {
  /** R, transposed: [hidden, gates·hidden]. */
  readonly r: JaxArray;
  /** Bias of R, [gates·hidden]; left out where it is part of x already. */
  readonly bias?: JaxArray;
  readonly hidden: number;
  readonly linearBeforeReset: boolean;
}

/** One of the gates, which lie side by side. Borrows x. */
function gate(x: JaxArray, index: number, hidden: number): JaxArray {
  return x.ref.slice([], [index * hidden, (index + 1) * hidden]);
}

const RNN: Cell = {
  gates: 1,
  activations: ["Tanh"],
  hasCell: false,
  step: (x, { h }, { r }) => ({ h: tanh(x.add(matmul(h, r.ref))) }),
};

/** Gates in the order input, output, forget, cell. */
const LSTM: Cell = {
  gates: 4,
  activations: ["Sigmoid", "Tanh", "Tanh"],
  hasCell: true,
  step: (x, { h, c }, { r, hidden }) => {
    const all = x.add(matmul(h, r.ref));
    const [input, output, forget] = [0, 1, 2].map((i) => nn.sigmoid(gate(all, i, hidden))) as [
      JaxArray,
      JaxArray,
      JaxArray,
    ];
    const fresh = tanh(gate(all, 3, hidden));
    all.dispose();
    const cell = input.mul(fresh).add(forget.mul(c as JaxArray));
    return { h: output.mul(tanh(cell.ref)), c: cell };
  },
};

/** Gates in the order update, reset, hidden. */
const GRU: Cell = {
  gates: 3,
  activations: ["Sigmoid", "Tanh"],
  hasCell: false,
  step: (x, { h }, { r, bias, hidden, linearBeforeReset }) => {
    const [update, reset] = gru.gates(x, h, r, bias, hidden);
    const fresh = tanh(
      linearBeforeReset
        ? gate(x, 2, hidden).add(reset.mul(gru.part(h.ref, r, bias, 2, hidden)))
        : gate(x, 2, hidden).add(gru.part(reset.mul(h.ref), r, bias, 2, hidden)),
    );
    x.dispose();
    return { h: update.ref.mul(h).add(fresh.mul(update.neg().add(1))) };
  },
};

const gru = {
  gates(
    x: JaxArray,
    h: JaxArray,
    r: JaxArray,
    bias: JaxArray | undefined,
    hidden: number,
  ): [JaxArray, JaxArray] {
    const both = matmul(h.ref, r.ref.slice([], [0, 2 * hidden]));
    const biased = bias ? both.add(bias.ref.slice([0, 2 * hidden])) : both;
    const sum = nn.sigmoid(x.ref.slice([], [0, 2 * hidden]).add(biased));
    const gates: [JaxArray, JaxArray] = [gate(sum, 0, hidden), gate(sum, 1, hidden)];
    sum.dispose();
    return gates;
  },
  /** The part of R·h that is one gate's; consumes h. */
  part(h: JaxArray, r: JaxArray, bias: JaxArray | undefined, index: number, hidden: number): JaxArray {
    const product = matmul(h, gate(r, index, hidden));
    return bias ? product.add(bias.ref.slice([index * hidden, (index + 1) * hidden])) : product;
  },
};

function recurrent(cell: Cell): OperatorRule {
  return (node) => {
    const directions = { forward: [false], reverse: [true], bidirectional: [false, true] }[
      node.oneOf("direction", ["forward", "reverse", "bidirectional"])
    ];
    const isBatchFirst = node.oneOf("layout", [0, 1]) === 1;
    checkActivations(node, cell, directions.length);
    const given = node.floats(0);
    const x = isBatchFirst ? np.transpose(given, [1, 0, 2]) : given;
    const [steps = 0] = x.shape;
    if (steps > MAX_STEPS) {
      throw new RangeError(
        `a sequence of ${steps} steps is too long to be written out; at most ${MAX_STEPS} are`,
      );
    }
    const results = directions.map((isReverse, d) => runDirection(node, cell, x.ref, d, isReverse));
    x.dispose();
    // [steps, directions, batch, hidden]
    const y = np.stack(
      results.map(({ outputs }) => outputs),
      1,
    );
    const last = (of: (state: State) => JaxArray): JaxArray =>
      np.stack(
        results.map(({ state }) => of(state)),
        0,
      );
    const h = last((state) => state.h);
    const outputs: Value[] = [
      traced("float32", isBatchFirst ? np.transpose(y, [2, 0, 1, 3]) : y),
      traced("float32", isBatchFirst ? np.transpose(h, [1, 0, 2]) : h),
    ];
    if (cell.hasCell) {
      const c = last((state) => state.c as JaxArray);
      outputs.push(traced("float32", isBatchFirst ? np.transpose(c, [1, 0, 2]) : c));
    }
    return outputs;
  };
}

function checkActivations(node: NodeContext, cell: Cell, directions: number): void {
  node.ignore("hidden_size", "activation_alpha", "activation_beta");
  const expected = Array.from({ length: directions }, () => cell.activations).flat();
  const given = node.strings("activations") ?? expected;
  if (given.some((name, i) => name.toLowerCase() !== expected[i]?.toLowerCase())) {
    throw new RangeError(`activations [${given}] are not supported; [${expected}] are`);
  }
  node.oneOf("input_forget", [0]);
}

/** x [steps, batch, in], consumed → the states of all steps [steps, batch, hidden], and the last one. */
function runDirection(
  node: NodeContext,
  cell: Cell,
  x: JaxArray,
  d: number,
  isReverse: boolean,
): { outputs: JaxArray; state: State } {
  const [steps = 0, batch = 0] = x.shape;
  const w = node.floats(1).slice(d); // [gates·hidden, in]
  const r = np.transpose(node.floats(2).slice(d));
  const [hidden = 0] = r.shape;
  const linearBeforeReset = cell === GRU && node.oneOf("linear_before_reset", [0, 1]) === 1;
  const biases = node.optionalArray(3)?.slice(d);
  const width = cell.gates * hidden;
  const projected = matmul(x, np.transpose(w)); // [steps, batch, gates·hidden]
  const [own, recurrentBias] = biases ? [biases.ref.slice([0, width]), biases.slice([width, 2 * width])] : [];
  const isSeparate = cell === GRU;
  const withOwn = own ? projected.add(own) : projected;
  const inputs = recurrentBias && !isSeparate ? withOwn.add(recurrentBias) : withOwn;
  const weights: RecurrentWeights = {
    r,
    hidden,
    linearBeforeReset,
    ...(isSeparate && recurrentBias ? { bias: recurrentBias } : {}),
  };
  const initial = (operand: number): JaxArray => {
    const array = node.optionalArray(operand);
    if (!array) return np.zeros([batch, hidden]);
    return node.int("layout", 0) === 1 ? array.slice([], d) : array.slice(d);
  };
  let state: State = cell.hasCell ? { h: initial(5), c: initial(6) } : { h: initial(5) };
  const outputs: JaxArray[] = [];
  for (let i = 0; i < steps; i++) {
    const at = isReverse ? steps - 1 - i : i;
    state = cell.step(inputs.ref.slice(at), state, weights);
    outputs[at] = state.h.ref;
  }
  for (const array of [inputs, r, weights.bias]) array?.dispose();
  return { outputs: np.stack(outputs, 0), state };
}

const WEIGHTS = {
  weights: [1, 2, 3],
  except: `sequence_lens, peepholes, clipping, other activations, more than ${MAX_STEPS} steps`,
} as const;

export const recurrentOperators = {
  RNN: operator(recurrent(RNN), WEIGHTS),
  GRU: operator(recurrent(GRU), WEIGHTS),
  LSTM: operator(recurrent(LSTM), WEIGHTS),
} satisfies Record<string, Operator>;
