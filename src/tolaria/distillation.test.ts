import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, scalar, type Tensor, type Tensors } from "../contracts/index.js";
import { type Backend, createWasmBackend, trace } from "../engine/index.js";
import { createNativeBackend } from "../engine/native/index.js";
import { checkTeacher, type Topology, teacherSpecs } from "../network/index.js";
import { charlm, initHost, resmlp } from "../nn/index.js";
import { OPTIMIZERS } from "./optimizers.js";
import { trainStepProgram } from "./train-step.js";

const CLASSES = 3;
const BATCH = 6;
const LABELS = [0, 0, 0, 1, 1, 2];
const student = resmlp({ inputShape: [4], classes: CLASSES, width: 5 });
const teacherTopology: Topology = {
  host: resmlp({ inputShape: [4], classes: CLASSES, width: 7 }),
  sites: [],
  hostGradient: "detach",
};
const topology: Topology = {
  host: student,
  sites: [],
  hostGradient: "detach",
  teacher: { id: "t", topology: teacherTopology },
};
const STUDENT_LOGITS = [0.5, -1, 2];
const TEACHER_LOGITS = [3, 1, -2];

/** Parameters of a host that answers the same logits whatever it is asked: its head's bias. */
function answering(host: Topology["host"], logits: readonly number[], prefix = ""): Tensors {
  const entries = Object.entries(initHost(host, 1)).map(([path, tensor]): [string, Tensor] => {
    if (path === "host/head/w") return [`${prefix}${path}`, float32(tensor.shape)];
    return [`${prefix}${path}`, path === "host/head/b" ? float32([CLASSES], [...logits]) : tensor];
  });
  return Object.fromEntries(entries);
}

function softmax(logits: readonly number[], temperature: number): number[] {
  const powers = logits.map((logit) => Math.exp(logit / temperature));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

const x = float32(
  [BATCH, 4],
  Float32Array.from({ length: BATCH * 4 }, (_, i) => Math.sin(i)),
);

describe.each([
  ["wasm", createWasmBackend],
  ["native", () => createNativeBackend({ threads: 1 })],
] as const)("a step with a teacher on %s", (_, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.dispose());

  /** One step of plain gradient descent at learning rate 1. */
  async function step(of: Topology, weight: number, temperature: number) {
    const program = await backend.compile(trace(trainStepProgram(of, OPTIMIZERS.sgd, BATCH)));
    const state = backend.createState();
    const before = { ...answering(student, STUDENT_LOGITS) };
    const slots = Object.keys(before).map((path) => [
      `optimizer/momentum/${path}`,
      float32(before[path]?.shape ?? []),
    ]);
    state.write({
      ...before,
      ...Object.fromEntries(slots),
      ...answering(teacherTopology.host, TEACHER_LOGITS, "teacher/"),
    });
    const hyper = { lr: 1, momentum: 0, weight_decay: 0 };
    const controls = Object.fromEntries(
      Object.entries(hyper).map(([name, value]) => [`optimizer/host/${name}`, scalar(value)]),
    );
    const outputs = await program.run(
      state,
      { x, y: int32([BATCH], LABELS) },
      {
        ...controls,
        ...(of.teacher && {
          "distillation/temperature": scalar(temperature),
          "distillation/weight": scalar(weight),
        }),
      },
    );
    const after = await state.read();
    state.dispose();
    const bias = after["host/head/b"]?.data ?? [];
    return { outputs, after, gradient: STUDENT_LOGITS.map((logit, i) => logit - (bias[i] ?? Number.NaN)) };
  }

  test.each([
    [0.3, 4],
    [1, 4],
    [0.5, 1],
    [0, 4],
  ])("weight %d, temperature %d: the gradient is the formula's", async (weight, temperature) => {
    const { gradient } = await step(topology, weight, temperature);
    const own = softmax(STUDENT_LOGITS, 1);
    const q = softmax(STUDENT_LOGITS, temperature);
    const p = softmax(TEACHER_LOGITS, temperature);
    for (let i = 0; i < CLASSES; i++) {
      const frequency = LABELS.filter((label) => label === i).length / BATCH;
      const fromLabels = (own[i] ?? 0) - frequency;
      const fromTeacher = temperature * ((q[i] ?? 0) - (p[i] ?? 0));
      expect(gradient[i]).toBeCloseTo((1 - weight) * fromLabels + weight * fromTeacher, 4);
    }
  });

  test("the loss that is reported stays the cross-entropy", async () => {
    const { teacher: _, ...alone } = topology;
    const [taught, untaught] = [await step(topology, 1, 4), await step(alone, 1, 4)];
    expect(taught.outputs.loss?.data[0]).toBeCloseTo(untaught.outputs.loss?.data[0] ?? Number.NaN, 6);
    expect(taught.gradient).not.toEqual(untaught.gradient);
  });

  test("the teacher never changes, and no output of the program could change it", async () => {
    const { after } = await step(topology, 1, 4);
    const kept = Object.entries(after).filter(([path]) => path.startsWith("teacher/"));
    expect(Object.fromEntries(kept)).toEqual(answering(teacherTopology.host, TEACHER_LOGITS, "teacher/"));
    const traced = trace(trainStepProgram(topology, OPTIMIZERS.adamw, BATCH));
    expect(traced.outputs.map(({ name }) => name).filter((name) => name.includes("teacher"))).toEqual([]);
    const inputs = traced.inputs.map(({ name }) => name).filter((name) => name.startsWith("teacher/"));
    expect(inputs).toEqual(Object.keys(teacherSpecs({ id: "t", topology: teacherTopology })));
  });
});

test("a teacher that answers other questions is refused", () => {
  const text = charlm({ inputShape: [4], classes: CLASSES, d: 8 });
  expect(() =>
    checkTeacher({ id: "t", topology: { host: text, sites: [], hostGradient: "detach" } }, student),
  ).toThrow("teacher t answers int32[4] → [4,3], host resmlp float32[4] → [3]");
});
