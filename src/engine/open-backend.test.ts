import { afterEach, describe, expect, test, vi } from "vitest";
import { openBackend } from "./open-backend.js";

afterEach(() => {
  vi.doUnmock("onnxruntime-node");
  vi.resetModules();
});

/** As where the optional package was not installed. */
async function withoutPackage() {
  vi.resetModules();
  vi.doMock("onnxruntime-node", () => {
    throw new Error("Cannot find package 'onnxruntime-node'");
  });
  return import("./open-backend.js");
}

describe("the choice of an engine", () => {
  test("auto takes native where it loads, and says so", async () => {
    const { backend, reason } = await openBackend("auto", { threads: 1 });
    expect(backend.name).toBe("native");
    expect(reason).toMatch(/^native: onnxruntime-node 1\.\d+\.\d+ on the CPU, 1 thread \(the fastest/);
    await backend.dispose();
  });

  test("wasm is what it is asked for", async () => {
    const { backend, reason } = await openBackend("wasm");
    expect(backend.name).toBe("wasm");
    expect(reason).toMatch(/as asked/);
  });

  test("auto takes wasm where native does not load, and says why", async () => {
    const { openBackend: open } = await withoutPackage();
    const { backend, reason } = await open("auto");
    expect(backend.name).toBe("wasm");
    expect(reason).toMatch(/^wasm: .*needs the optional package onnxruntime-node, which does not load here/);
  });

  test("native by name is one error where it does not load", async () => {
    const { openBackend: open } = await withoutPackage();
    await expect(open("native")).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/needs the optional package onnxruntime-node.*or use the wasm engine/),
    });
  });
});
