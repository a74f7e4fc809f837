import { describe, expect, test } from "vitest";
import { checkpointInterval, parseGrowOptions, parseResumeOptions } from "./grow-config.js";

test("all but the data may be left out", () => {
  expect(parseGrowOptions({ data: "spirals", lr: undefined })).toEqual({
    data: "spirals",
    host: "resmlp",
    engine: "auto",
    epochs: 16,
    batch: 50,
    optimizer: "adam",
    seed: 0,
    blueprint: "auto",
    policy: "plateau",
    distillWeight: 0.3,
    distillTemperature: 4,
    growth: true,
    compare: false,
    checkpointEvery: "60s",
  });
});

test("host, epochs and batch follow the data, and what is asked for stands", () => {
  expect(parseGrowOptions({ data: "text:a.txt" })).toMatchObject({ host: "charlm", epochs: 1, batch: 16 });
  expect(parseGrowOptions({ data: "text:a.txt", host: "resmlp" })).toMatchObject({ host: "resmlp" });
  expect(parseGrowOptions({ data: "mnist" })).toMatchObject({ epochs: 6, batch: 128 });
  expect(parseGrowOptions({ data: "csv:a.csv?label=x" })).toMatchObject({ epochs: 20, batch: undefined });
  expect(parseGrowOptions({ data: "constructor" })).toMatchObject({ epochs: 20, batch: undefined });
  expect(parseGrowOptions({ data: "mnist", epochs: 1, batch: 3 })).toMatchObject({ epochs: 1, batch: 3 });
});

describe("each problem is one line naming the key", () => {
  test.each([
    [{ epochs: 0 }, "epochs must be a whole number in 1..100000, got 0"],
    [{ epochs: "many" }, 'epochs must be a whole number in 1..100000, got "many"'],
    [{ epochs: 1.5 }, "epochs must be a whole number in 1..100000, got 1.5"],
    [{ epochs: Number.NaN }, "epochs must be a whole number in 1..100000, got NaN"],
    [{ batch: -1 }, "batch must be a whole number in 1..1000000, got -1"],
    [{ lr: 0 }, "lr must be a number greater than 0, got 0"],
    [{ lr: -1 }, "lr must be a number greater than 0, got -1"],
    [{ lr: Number.NaN }, "lr must be a number greater than 0, got NaN"],
    [{ lr: Number.POSITIVE_INFINITY }, "lr must be a number greater than 0, got Infinity"],
    [{ schedule: "step" }, 'schedule must be one of constant, cosine, linear, got "step"'],
    [
      { warmup: -1 },
      'warmup must be a whole number of steps, 0 or more, or a percentage up to 100%, such as "5%", got -1',
    ],
    [{ warmup: "120%" }, "warmup must be a whole number of steps"],
    [{ warmup: "5" }, "warmup must be a whole number of steps"],
    [{ distillWeight: 1.5 }, "distillWeight must be a number in 0..1, got 1.5"],
    [{ distillTemperature: 0 }, "distillTemperature must be a number in 0.1..100, got 0"],
    [{ optimizer: "lbfgs" }, 'optimizer must be one of sgd, adam, adamw, got "lbfgs"'],
    [
      { host: "vgg" },
      'host must be one of resmlp, resconv, charlm (with sizes: resmlp:width=128,blocks=4), onnx:<file>, module:<file>#<export>, or a Host, got "vgg"',
    ],
    [
      { host: {} },
      "host must be one of resmlp, resconv, charlm (with sizes: resmlp:width=128,blocks=4), onnx:<file>, module:<file>#<export>, or a Host, got an object",
    ],
    [
      { engine: "cuda" },
      'engine must be one of auto, native, wasm, gpu, gpu:cuda, webgpu, or a Backend, got "cuda"',
    ],
    [{ blueprints: [] }, "blueprints must hold a blueprint, got an empty list"],
    [{ blueprints: [3] }, "blueprints must hold blueprints, ids of built-in ones, or module:<file>#<export>"],
    [{ seed: -1 }, "seed must be a whole number in 0..4294967295, got -1"],
    [
      { policy: "epoch:0" },
      'policy must be plateau, schedule, random, remote, epoch:<n>, or a Policy, got "epoch:0"',
    ],
    [{ slots: [] }, "slots must name a slot, got an empty list"],
    [{ data: "" }, 'data must be a Dataset, arrays with a "train" part, or a name such as'],
    [{ budgetParams: "x" }, 'budgetParams must be a number or a percentage, 0 or more, got "x"'],
    [{ compare: "no" }, 'compare must be true or false, got "no"'],
    [{ threads: 0 }, "threads must be a whole number in 1..256, got 0"],
    [{ onEpoch: 3 }, "onEpoch must be a function, got 3"],
    [{ signal: {} }, "signal must be an AbortSignal, got an object"],
    [{ epoch: 3 }, "unknown key epoch; known are runId, data, host, from, keepOptimizer, engine"],
  ])("%j", (options, message) => {
    const asked = { data: "spirals", ...options };
    expect(() => parseGrowOptions(asked)).toThrow(message);
    expect(() => parseGrowOptions(asked)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  test.each([
    [{}, "data is missing: it must be a Dataset"],
    [null, "the options of a run must be an object"],
    [[], "the options of a run must be an object"],
  ])("%j alone", (options, message) => {
    expect(() => parseGrowOptions(options)).toThrow(message);
    expect(() => parseGrowOptions(options)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  test("a checkpoint is due every so many steps, or after a time", () => {
    const intervalOf = (checkpointEvery?: string) =>
      checkpointInterval(parseGrowOptions({ data: "spirals", checkpointEvery }));
    expect(intervalOf()).toEqual({ ms: 60_000 });
    expect(intervalOf("5m")).toEqual({ ms: 300_000 });
    expect(intervalOf("500steps")).toEqual({ steps: 500 });
    expect(intervalOf("1step")).toEqual({ steps: 1 });
    for (const wrong of ["0s", "60", "1.5s", "-1steps", "s", "60 s", 60, ""])
      expect(() => parseGrowOptions({ data: "spirals", checkpointEvery: wrong })).toThrow(
        'checkpointEvery must be a time or a number of steps, such as "60s", "5m", "500steps"',
      );
  });

  test("a resumed run keeps its options", () => {
    expect(() => parseResumeOptions({ resume: "runs/x", epochs: 3 })).toThrow("leave out epochs");
    expect(() => parseResumeOptions({ resume: "" })).toThrow("resume must not be empty");
  });
});
