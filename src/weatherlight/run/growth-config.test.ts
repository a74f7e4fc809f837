import { describe, expect, test } from "vitest";
import { parseGrowthConfig } from "./growth-config.js";

test("nothing asked for is a run on the spirals", () => {
  expect(parseGrowthConfig({})).toEqual({
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
  });
});

test("host, epochs and batch follow the data, and what is asked for stands", () => {
  expect(parseGrowthConfig({ data: "text:a.txt" })).toMatchObject({ host: "charlm", epochs: 1, batch: 16 });
  expect(parseGrowthConfig({ data: "text:a.txt", host: "resmlp" })).toMatchObject({ host: "resmlp" });
  expect(parseGrowthConfig({ data: "mnist" })).toMatchObject({ epochs: 6, batch: 128 });
  expect(parseGrowthConfig({ data: "csv:a.csv?label=x" })).toMatchObject({ epochs: 20, batch: 32 });
  expect(parseGrowthConfig({ data: "constructor" })).toMatchObject({ epochs: 20, batch: 32 });
  expect(parseGrowthConfig({ data: "mnist", epochs: 1, batch: 3 })).toMatchObject({ epochs: 1, batch: 3 });
});

describe("each problem is one line naming the key", () => {
  test.each([
    [{ epochs: 0 }, "epochs must be a whole number in 1..100000, got 0"],
    [{ epochs: "many" }, 'epochs must be a whole number in 1..100000, got "many"'],
    [{ epochs: 1.5 }, "epochs must be a whole number in 1..100000, got 1.5"],
    [{ batch: -1 }, "batch must be a whole number in 1..1000000, got -1"],
    [{ lr: 0 }, "lr must be a number greater than 0, got 0"],
    [{ lr: Number.NaN }, "lr must be a number greater than 0, got NaN"],
    [{ lr: Number.POSITIVE_INFINITY }, "lr must be a number greater than 0, got Infinity"],
    [{ distillWeight: 1.5 }, "distillWeight must be a number in 0..1, got 1.5"],
    [{ distillTemperature: 0 }, "distillTemperature must be a number in 0.1..100, got 0"],
    [{ optimizer: "lbfgs" }, 'optimizer must be one of sgd, adam, adamw, got "lbfgs"'],
    [{ host: "vgg" }, 'host must be one of resmlp, resconv, charlm, got "vgg"'],
    [{ engine: "cuda" }, 'engine must be one of auto, native, wasm, got "cuda"'],
    [
      { blueprint: "x" },
      'blueprint must be one of auto, mlp-residual, low-rank, conv-residual, squeeze-excite, attention-residual, host-block, got "x"',
    ],
    [{ seed: -1 }, "seed must be a whole number in 0..4294967295, got -1"],
    [{ policy: "epoch:0" }, 'policy must be plateau, schedule, random or epoch:<n>, got "epoch:0"'],
    [{ slots: [] }, "slots must name a slot, got "],
    [{ data: "" }, 'data must not be empty, got ""'],
    [{ compare: "no" }, 'compare must be true or false, got "no"'],
    [{ threads: 0 }, "threads must be a whole number in 1..256, got 0"],
    [{ epoch: 3 }, "unknown key epoch; known are runId, data, host, engine"],
    [null, "a growth configuration must be an object"],
  ])("%j", (options, message) => {
    expect(() => parseGrowthConfig(options)).toThrow(message);
    expect(() => parseGrowthConfig(options)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
