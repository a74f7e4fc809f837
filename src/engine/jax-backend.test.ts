import { describe, expect, test } from "vitest";
import { describeBackend } from "./backend.conformance.js";
import { createWasmBackend } from "./jax-backend.js";
import { openBackend } from "./open-backend.js";

describeBackend("wasm", createWasmBackend);

describe("the engine of a browser's WebGPU", () => {
  test("is one error in Node, which says what to take there", async () => {
    await expect(openBackend("webgpu")).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/^the webgpu engine needs a browser with WebGPU.*; in Node take gpu$/),
    });
  });
});
