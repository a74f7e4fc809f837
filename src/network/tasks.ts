/**
 * The tasks, each in one row of a table: what its labels are, what is minimised and judged by, by which figure its course is followed,
 * how a network imitates another one, its metrics, and what its answers look like. Whatever trains, evaluates or uses a network asks
 * here.
 */
import { nn, numpy as np } from "@jax-js/jax";
import { maxOf, mean } from "../base/index.js";
import {
  LABEL_SEPARATOR,
  TASK_TRAITS,
  type TargetScaling,
  type TaskId,
  type TensorSpec,
} from "../contracts/index.js";
import type { Arrays, JaxArray } from "../engine/index.js";
import {
  binaryCrossEntropy,
  correct,
  exampleLoss,
  type Host,
  type LossOptions,
  labelShape,
  squaredError,
} from "../nn/index.js";
import {
  ClassificationTally,
  determination,
  f1,
  type Metrics,
  MultilabelTally,
  RegressionTally,
  requireFiniteOutputs,
  SequenceTally,
  saysSecond,
  type Tally,
} from "./metrics.js";

/** What the outputs of a network stand for. */
export interface OutputFormat {
  /** Outputs of a row, or of each position: classes, labels, or numbers. */
  readonly classes: number;
  /** What classes or labels are called, where that is known. */
  readonly classNames?: readonly string[] | undefined;
  /** Of a regression. */
  readonly targets?: readonly TargetScaling[] | undefined;
  /** Of two classes: the probability from which the second is said. Default: the likelier one is. */
  readonly threshold?: number | undefined;
  /** Of a text: bytes that all labels together stand for. */
  readonly textBytes?: number | undefined;
}

/** What a network says of rows. */
export interface Answers {
  /** Of a classification the likeliest class, [rows, ...positions]; of several labels 1 for each that is said, [rows, labels]; else empty. */
  readonly labels: Int32Array;
  /** Of classes or labels, [rows, ...positions, classes]; else empty. */
  readonly probabilities: Float32Array;
  /** Of a regression, in the targets' own units, [rows, targets]; else left out. */
  readonly values?: Float64Array;
}

/** Answers as a table: the names of its columns, and the cells of a row. */
export interface AnswerTable {
  readonly columns: readonly string[];
  cells(answers: Answers, row: number): (string | number)[];
}

/** Gives what was added up over rows under a name. */
type Sums = (name: string) => Float64Array;

/** How alike the outputs of what learns are to a teacher's: []. Consumes the outputs. */
export type Imitation = (outputs: JaxArray) => JaxArray;

interface Task {
  /** Of each row, or of each of its positions: outputs [batch, ..., classes], labels → [batch, ...]. Consumes both. */
  loss(outputs: JaxArray, labels: JaxArray, options: LossOptions): JaxArray;
  /** What an evaluation adds up over rows for the score: [batch] or [batch, n] each. Consumes both. */
  scored(outputs: JaxArray, labels: JaxArray): Arrays;
  /** Of what was added up over `rows` rows. */
  score(sums: Sums, rows: number): number;
  /** @param teacher outputs of the teacher; consumed @param temperature [] a new reference at each call */
  imitation(teacher: JaxArray, temperature: () => JaxArray): Imitation;
  tally(format: OutputFormat): Tally;
  /** @param outputs [rows, ...positions, classes]; may be overwritten */
  answers(outputs: Float32Array, format: OutputFormat): Answers;
  table(format: OutputFormat): AnswerTable;
}

const CLASSES: Omit<Task, "tally"> = {
  loss: exampleLoss,
  scored: (outputs, labels) => ({ correct: perRow(correct(outputs, labels)) }),
  score: (sums, rows) => (sums("correct")[0] ?? Number.NaN) / rows,
  /** T²·KL(p ‖ q), averaged over all predictions: T² keeps its gradients of one size (Hinton et al. 2015, §2). */
  imitation(teacher, temperature) {
    const logP = nn.logSoftmax(teacher.mul(np.reciprocal(temperature())));
    return (outputs) => {
      const logQ = nn.logSoftmax(outputs.mul(np.reciprocal(temperature())));
      const divergence = np.exp(logP.ref).mul(logP.ref.sub(logQ)).sum(-1).mean();
      return divergence.mul(np.square(temperature()));
    };
  },
  answers: softmaxAnswers,
  table(format) {
    const names = outputNames(format);
    return {
      columns: ["prediction", ...names.map((name) => `p_${name}`)],
      cells: ({ labels, probabilities }, row) => [
        names[labels[row] ?? 0] ?? "",
        ...rowOf(probabilities, row, names.length),
      ],
    };
  },
};

/** Targets have mean 0 and deviation 1 over the training rows, so that losses and gates are of one size whatever they measure. */
const REGRESSION: Task = {
  loss: (outputs, targets, { huberDelta }) => squaredError(outputs, targets, huberDelta),
  scored: (outputs, targets) => ({
    squared_error: np.square(outputs.sub(targets.ref)),
    target_squared: np.square(targets.ref),
    target: targets,
  }),
  score: (sums, rows) =>
    mean(
      Array.from(sums("squared_error"), (error, i) => {
        const total = sums("target")[i] ?? Number.NaN;
        return determination(error, (sums("target_squared")[i] ?? Number.NaN) - total ** 2 / rows);
      }),
    ),
  imitation: (teacher, temperature) => {
    temperature().dispose();
    return (outputs) => np.square(outputs.sub(teacher.ref)).mean();
  },
  tally: (format) => new RegressionTally(scalings(format)),
  answers: (outputs, format) => {
    requireFiniteOutputs(outputs);
    const targets = scalings(format);
    const values = Float64Array.from(outputs, (output, i) => {
      const { mean: middle, deviation } = targets[i % targets.length] as TargetScaling;
      return output * deviation + middle;
    });
    return { labels: new Int32Array(), probabilities: new Float32Array(), values };
  },
  table(format) {
    const targets = scalings(format);
    const columns = targets.length === 1 ? ["prediction"] : targets.map(({ name }) => `prediction_${name}`);
    return {
      columns,
      cells: ({ values = new Float64Array() }, row) => rowOf(values, row, targets.length),
    };
  },
};

/** A label holds where its probability is above a half. */
const MULTILABEL: Task = {
  loss: (outputs, labels) => binaryCrossEntropy(outputs, labels),
  scored(outputs, labels) {
    const said = np.where(outputs.neg().less(0), 1, 0);
    return {
      found: said.ref.mul(labels.ref).sum(-1),
      said: said.sum(-1),
      occurs: labels.sum(-1),
    };
  },
  score: (sums) => {
    const of = (name: string): number => sums(name)[0] ?? Number.NaN;
    return f1({ found: of("found"), said: of("said"), occurs: of("occurs") });
  },
  /** As for classes, a label being two of them. */
  imitation(teacher, temperature) {
    const cooled = teacher.mul(np.reciprocal(temperature()));
    const [logYes, logNo] = [nn.logSigmoid(cooled.ref), nn.logSigmoid(cooled.neg())];
    return (outputs) => {
      const own = outputs.mul(np.reciprocal(temperature()));
      const yes = np.exp(logYes.ref).mul(logYes.ref.sub(nn.logSigmoid(own.ref)));
      const no = np.exp(logNo.ref).mul(logNo.ref.sub(nn.logSigmoid(own.neg())));
      return yes.add(no).mean().mul(np.square(temperature()));
    };
  },
  tally: (format) => new MultilabelTally(outputNames(format)),
  answers(outputs) {
    requireFiniteOutputs(outputs);
    return {
      labels: Int32Array.from(outputs, (output) => (output > 0 ? 1 : 0)),
      probabilities: outputs.map((output) => 1 / (1 + Math.exp(-output))),
    };
  },
  table(format) {
    const names = outputNames(format);
    return {
      columns: ["prediction", ...names.map((name) => `p_${name}`)],
      cells: ({ labels, probabilities }, row) => {
        const own = rowOf(labels, row, names.length);
        return [
          names.filter((_, i) => own[i] === 1).join(LABEL_SEPARATOR),
          ...rowOf(probabilities, row, names.length),
        ];
      },
    };
  },
};

const TASKS: { readonly [T in TaskId]: Task } = {
  classification: {
    ...CLASSES,
    tally: ({ classes, threshold }) => new ClassificationTally(classes, threshold),
  },
  "next-token": { ...CLASSES, tally: ({ classes, textBytes }) => new SequenceTally(classes, textBytes) },
  regression: REGRESSION,
  multilabel: MULTILABEL,
};

/** The task of a network; `next-token` differs from `classification` in its metrics alone. */
export function taskFor(id: TaskId = "classification"): Task {
  return TASKS[id];
}

/** As `kasmina evaluate --json` prints it. */
export interface Evaluation {
  readonly task: TaskId;
  readonly rows: number;
  /** Mean, in what the task counts its loss in: {@link TASK_TRAITS}. */
  readonly loss: number;
  readonly metrics: Metrics;
}

interface Labelled extends OutputFormat {
  readonly task: TaskId;
  /** Row after row: class numbers, one a row or position, or a value for each output. */
  readonly labels: Int32Array | Float32Array;
  readonly rows: number;
  /** How much each row counts. Default: all count alike. */
  readonly weights?: Float32Array | undefined;
}

/**
 * @param outputs [some rows, ...positions, classes] at a time
 * @throws KasminaError `loss_not_finite` for an output that is not finite
 */
export async function evaluationOf(
  outputs: AsyncIterable<Float32Array>,
  { task, labels, rows, weights, ...format }: Labelled,
): Promise<Evaluation> {
  const tally = taskFor(task).tally(format);
  const labelsPerAnswer = TASK_TRAITS[task].labels === "values" ? format.classes : 1;
  // Each position of a row counts as the row does.
  const positions = labels.length / labelsPerAnswer / rows;
  let from = 0;
  for await (const some of outputs) {
    const to = from + some.length / format.classes;
    const own =
      weights &&
      Float32Array.from({ length: to - from }, (_, i) => weights[Math.floor((from + i) / positions)] ?? 0);
    tally.add(some, labels.subarray(from * labelsPerAnswer, to * labelsPerAnswer), own);
    from = to;
  }
  return { task, rows, loss: tally.loss, metrics: tally.metrics() };
}

/** Labels of a batch. */
export function labelSpec(host: Host, batch: number, id: TaskId = "classification"): TensorSpec {
  return TASK_TRAITS[id].labels === "values"
    ? { shape: [batch, ...labelShape(host), host.classes], dtype: "float32" }
    : { shape: [batch, ...labelShape(host)], dtype: "int32" };
}

/** Mean over the positions of a row, where it has any. */
export function perRow(values: JaxArray): JaxArray {
  return values.ndim === 1 ? values : values.mean(-1);
}

function outputNames({ classes, classNames }: OutputFormat): readonly string[] {
  return classNames ?? Array.from({ length: classes }, (_, i) => String(i));
}

function scalings({ classes, targets }: OutputFormat): readonly TargetScaling[] {
  return targets ?? Array.from({ length: classes }, (_, i) => ({ name: String(i), mean: 0, deviation: 1 }));
}

function rowOf(values: Int32Array | Float32Array | Float64Array, row: number, size: number): number[] {
  return [...values.subarray(row * size, (row + 1) * size)];
}

function softmaxAnswers(logits: Float32Array, { classes, threshold }: OutputFormat): Answers {
  requireFiniteOutputs(logits);
  const labels = new Int32Array(logits.length / classes);
  for (const place of labels.keys()) {
    const values = logits.subarray(place * classes, (place + 1) * classes);
    const largest = maxOf(values);
    labels[place] = threshold === undefined ? values.indexOf(largest) : Number(saysSecond(values, threshold));
    const total = values.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    for (const [i, value] of values.entries()) values[i] = Math.exp(value - largest) / total;
  }
  return { labels, probabilities: logits };
}
