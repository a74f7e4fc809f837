import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../base/index.js";
import { CommandSigner, KeyRing } from "../../contracts/index.js";
import { type Dataset, makeSpirals } from "../../data/index.js";
import { type Backend, createWasmBackend } from "../../engine/index.js";
import { resmlp } from "../../nn/index.js";
import type { TeacherOptions } from "../../tolaria/index.js";
import type { RunControl } from "../grow/ports.js";
import type { RunSetup } from "../grow/run-setup.js";
import { trainRun } from "../grow/train-run.js";

const dataset = makeSpirals({ seed: 3 });
/** The same points, but every label of the training part says 0: whoever learns from them alone knows nothing. */
const unlabelled: Dataset = {
  ...dataset,
  train: { ...dataset.train, labels: new Int32Array(dataset.train.count) },
};
const teacherHost = resmlp({ ...dataset, width: 24 });

let backend: Backend;
let teacher: TeacherOptions;
let teacherAccuracy = 0;
beforeAll(async () => {
  backend = await createWasmBackend();
  const { accuracy, checkpoint } = await trainRun({ ...options(dataset), host: teacherHost, epochs: 16 });
  const tensors = Object.fromEntries(
    Object.entries(checkpoint.tensors).filter(([path]) => path.startsWith("host/")),
  );
  const topology = { host: teacherHost, sites: [], hostGradient: "detach" } as const;
  teacher = { id: "elder", topology, tensors, weight: 1 };
  teacherAccuracy = accuracy;
});
afterAll(() => backend.dispose());

function options(data: Dataset): RunSetup {
  const host = resmlp({ ...dataset, width: 16 });
  return {
    runId: "student",
    host,
    dataset: data,
    backend,
    epochs: 8,
    batch: 60,
    hyper: { learningRate: 0.005 },
    policy: null,
  };
}

test("a student without labels learns what its teacher knows", async () => {
  const names: string[] = [];
  const taught = await trainRun({
    ...options(unlabelled),
    teacher,
    onEvent: ({ name }) => void names.push(name),
  });
  const untaught = await trainRun(options(unlabelled));
  expect(teacherAccuracy).toBeGreaterThan(0.8);
  expect(untaught.accuracy).toBeLessThan(0.6);
  expect(taught.accuracy).toBeGreaterThan(0.7);
  expect(names).toContain("teacher_registered");
  expect(taught.flopsTotal).toBeGreaterThan(untaught.flopsTotal);
  expect(taught.paramsTotal).toBe(untaught.paramsTotal);
  expect(Object.keys(taught.checkpoint.tensors).filter((path) => path.includes("teacher"))).toEqual([]);
});

/** Training under a teacher that is reset after the first epoch, and stopped after epoch `stopAt`. */
async function trainUnderReset(stopAt?: number) {
  const keys = new KeyRing([{ id: "k", secret: new Uint8Array(32).fill(7) }]);
  const signer = new CommandSigner({ keys, clock: systemClock });
  const order = { kind: "RESET", scope: "teacher" } as const;
  const stop = new AbortController();
  const names: string[] = [];
  let control: RunControl | undefined;
  const result = await trainRun({
    ...options(unlabelled),
    teacher,
    keys,
    signal: stop.signal,
    onControl: (own) => {
      control = own;
    },
    onEpoch: ({ epoch }) => {
      const id = { commandId: "reset-1", trainingRunId: "student", issuedBy: "operator" };
      if (epoch === 1) control?.send(signer.sign({ ...id, order }), () => undefined);
      if (epoch === stopAt) stop.abort();
    },
    onEvent: ({ name }) => void names.push(name),
  });
  return { ...result, names };
}

test("a teacher that is reset is gone from the next step on, and stays gone when the run is resumed", async () => {
  const whole = await trainUnderReset();
  expect(whole.names).toContain("teacher_deregistered");
  expect(whole.end).toBe("finished");
  expect(whole.accuracy).toBeLessThan(0.6);
  const { end, checkpoint } = await trainUnderReset(3);
  expect(end).toBe("aborted");
  const resumed = await trainRun({ ...options(unlabelled), teacher, resume: checkpoint });
  expect(resumed.checkpoint.tensors).toEqual(whole.checkpoint.tensors);
});
