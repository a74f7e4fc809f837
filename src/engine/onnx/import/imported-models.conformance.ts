/**
 * Models of other people: the imported forward pass is held against plain ONNX Runtime on the file, training against PyTorch.
 * A few of them with every change, all of them on all engines in the long run.
 */
import { nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Tensors } from "../../../contracts/tensor.js";
import type { Backend, BackendName } from "../../backend.js";
import { createWasmBackend } from "../../jax-backend.js";
import { createNativeBackend } from "../../native/index.js";
import { type Arrays, type JaxArray, type ProgramDefinition, trace } from "../../trace.js";
import type { ImportedModel } from "./imported-model.js";
import {
  exampleInputs,
  fixture,
  forwardDefinition,
  imported,
  LOSSES,
  openWakeWord,
  paddleOcr,
  parameterTensors,
  runOriginal,
} from "./imported-models.fixture.js";

/** Relative to the largest element of an output, or to this where all are smaller: ONNX Runtime's own sigmoid is not exact there. */
const TOLERANCE = 1e-4;
const SMALLEST_SCALE = 1e-3;
const BATCHES = [1, 3];

type Shapes = Readonly<Record<string, readonly number[]>>;

interface Packaged {
  readonly name: string;
  readonly read: () => Uint8Array;
  readonly shapes?: Shapes;
}

const PACKAGED: readonly Packaged[] = [
  {
    name: "PaddleOCR's classifier",
    read: () => paddleOcr("ch_ppocr_mobile_v2.0_cls_infer"),
    shapes: { x: [3, 48, 48] },
  },
  {
    name: "PaddleOCR's detector",
    read: () => paddleOcr("ch_PP-OCRv4_det_infer"),
    shapes: { x: [3, 64, 64] },
  },
  {
    name: "PaddleOCR's recognizer",
    read: () => paddleOcr("ch_PP-OCRv4_rec_infer"),
    shapes: { x: [3, 48, 32] },
  },
  { name: "an audio embedding", read: () => openWakeWord("embedding_model") },
  { name: "a wake word", read: () => openWakeWord("alexa_v0.1") },
];

async function checkForward(
  bytes: Uint8Array,
  model: ImportedModel,
  which: readonly Backend[],
): Promise<void> {
  for (const batch of BATCHES) {
    const inputs = exampleInputs(model, batch);
    const expected = await runOriginal(bytes, model, inputs);
    const traced = trace(forwardDefinition(model, inputs));
    for (const backend of which) {
      const state = backend.createState();
      state.write(parameterTensors(model));
      const results = await (await backend.compile(traced)).run(state, inputs, {});
      state.dispose();
      for (const [name, wanted] of Object.entries(expected)) {
        const got = results[name]?.data ?? [];
        expect(got.length).toBe(wanted.length);
        const scale = wanted.reduce((most, one) => Math.max(most, Math.abs(one)), SMALLEST_SCALE);
        const error = wanted.reduce(
          (most, one, i) => Math.max(most, Math.abs(one - (got[i] ?? Number.NaN))),
          0,
        );
        expect(error / scale, `${name} on ${backend.name}, batch ${batch}`).toBeLessThan(TOLERANCE);
      }
    }
  }
}

/** One step of SGD on every weight: rows of logits, row i of class i modulo the number of classes. */
function sgdStep(model: ImportedModel, inputs: Tensors, rate: number): ProgramDefinition {
  const state = parameterTensors(model);
  const learning = new Set(model.parameters.filter(({ role }) => role === "weight").map(({ name }) => name));
  return {
    name: "SGD step",
    state,
    batch: inputs,
    controls: {},
    run: (parameters, batch) => {
      const variables: Arrays = {};
      const fixed: Arrays = {};
      for (const [name, array] of Object.entries(parameters))
        (learning.has(name) ? variables : fixed)[name] = array;
      const lossOf = (weights: Arrays): JaxArray => {
        const [logits] = model.forward(batch, ({ name }) => (weights[name] ?? (fixed[name] as JaxArray)).ref);
        const output = logits as JaxArray;
        const classes = output.shape.at(-1) ?? 1;
        const rows = output.reshape([-1, classes]);
        const labels = np.array(
          Int32Array.from({ length: rows.shape[0] ?? 1 }, (_, i) => i % classes),
          { dtype: np.int32 },
        );
        return nn.logSoftmax(rows).mul(nn.oneHot(labels, classes)).sum(-1).mean().neg();
      };
      const [loss, gradients] = valueAndGrad(lossOf)(
        Object.fromEntries(Object.entries(variables).map(([name, array]) => [name, array.ref])),
      ) as unknown as [JaxArray, Arrays];
      const next = Object.entries(variables).map(([name, array]) => [
        name,
        array.sub((gradients[name] as JaxArray).mul(rate)),
      ]);
      return { state: Object.fromEntries(next) as Arrays, outputs: { loss } };
    },
  };
}

export interface ModelSuite {
  /** Models of PyTorch whose forward pass is checked, and on which engines. */
  readonly torch: readonly string[];
  /** Models of packages. */
  readonly packaged: readonly string[];
  readonly engines: readonly BackendName[];
  /** Models of PyTorch that take five steps on the native engine. */
  readonly trained: readonly string[];
}

/** Declares the suite. */
export function describeImportedModels({ torch, packaged, engines, trained }: ModelSuite): void {
  let native: Backend;
  let backends: Backend[];
  beforeAll(async () => {
    native = await createNativeBackend({ threads: 1 });
    backends = [native, await createWasmBackend()];
  });
  afterAll(async () => {
    for (const backend of backends) await backend.dispose();
  });
  const chosen = () => backends.filter(({ name }) => engines.includes(name));

  describe(`imported models give what ONNX Runtime gives, on ${engines.join(" and ")}`, () => {
    test.each(torch)("%s", async (name) => {
      const bytes = fixture(name);
      await checkForward(bytes, imported(bytes), chosen());
    });

    test.each(PACKAGED.filter(({ name }) => packaged.includes(name)))("$name", async ({ read, shapes }) => {
      const bytes = read();
      await checkForward(bytes, imported(bytes, shapes), chosen());
    });
  });

  describe.skipIf(trained.length === 0)("five steps of SGD on all weights are PyTorch's", () => {
    test.each(trained)("%s", async (name) => {
      const record = LOSSES.models[name];
      const model = imported(fixture(name));
      const inputs = exampleInputs(model, LOSSES.batch, name === "bert" ? 40 : 32);
      const program = await native.compile(trace(sgdStep(model, inputs, record?.rate ?? 0)));
      const state = native.createState();
      state.write(parameterTensors(model));
      expect(record?.losses.length).toBe(5);
      for (const expected of record?.losses ?? []) {
        const { loss } = await program.run(state, inputs, {});
        expect(Math.abs((loss?.data[0] ?? Number.NaN) - expected) / expected).toBeLessThan(1e-5);
      }
      state.dispose();
      program.dispose();
    });
  });
}

export const PACKAGED_MODELS: readonly string[] = PACKAGED.map(({ name }) => name);
