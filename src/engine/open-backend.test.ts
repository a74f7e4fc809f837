import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loadOrt } from "./native/ort.js";
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
    expect(reason).toMatch(/^wasm: .*needs the optional package onnxruntime-node/);
  });

  test("a package that npm left out is told with the one command that gets the version depended on", async () => {
    const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
    const { optionalDependencies } = JSON.parse(text) as { optionalDependencies: Record<string, string> };
    const missing = new Error("Cannot find package 'onnxruntime-node' imported from /x/ort.js");
    await expect(loadOrt(() => Promise.reject(missing))).rejects.toThrow(
      `which npm has left out: run \`npm install --no-save --ignore-scripts onnxruntime-node@${optionalDependencies["onnxruntime-node"]}\`, or use`,
    );
  });

  test("one that is there and does not load is told with the reason, without a command that cannot help", async () => {
    const broken = new Error("libonnxruntime.so.1: cannot open shared object file\nstack");
    await expect(loadOrt(() => Promise.reject(broken))).rejects.toThrow(
      "does not load here (libonnxruntime.so.1: cannot open shared object file): use the wasm engine",
    );
  });

  test("native by name is one error where it does not load", async () => {
    const { openBackend: open } = await withoutPackage();
    await expect(open("native")).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/needs the optional package onnxruntime-node.*use the wasm engine/),
    });
  });
});
