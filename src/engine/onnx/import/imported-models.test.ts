/** What is checked with every change: the small models, natively; a convolutional and a recurrent one take seconds. */
import { describe, expect, test } from "vitest";
import { describeImportedModels } from "./imported-models.conformance.js";
import { fixture, imported, openWakeWord } from "./imported-models.fixture.js";

describeImportedModels({
  torch: ["mlp-bn", "mlp-bn-opset9", "mlp-bn-opset17", "mobilenetv3", "vit", "bert", "gpt", "lstm"],
  packaged: ["a wake word"],
  engines: ["native"],
  trained: ["mlp-bn", "mobilenetv3", "vit", "gpt"],
});

describeImportedModels({ torch: ["mlp-bn", "bert"], packaged: [], engines: ["wasm"], trained: [] });

describe("what cannot be imported is refused by name", () => {
  test.each([
    ["hey_jarvis_v0.1", /node "If_32" \(If, operator set 13\): control flow is not supported/],
    ["silero_vad", /node "If_25" \(If, operator set 16\)/],
  ])("%s", (name, message) => {
    expect(() => imported(openWakeWord(name))).toThrow(message);
  });

  test("a size that is free and not given", () => {
    expect(() => imported(openWakeWord("melspectrogram"))).toThrow(
      /its size samples is free, so it has to be given/,
    );
  });

  test("examples that do not fit", () => {
    expect(() => imported(fixture("mlp-bn"), { x: [13] })).toThrow(
      /input x of the model is \[batch, 12\], which examples of shape \[13\] do not fit/,
    );
  });
});
