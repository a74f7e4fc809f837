import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { describeBackend } from "../backend.conformance.js";
import { openBackend } from "../open-backend.js";
import { openCudaBackend } from "./cuda-backend.js";
import { loadOrt, type Ort } from "./ort.js";

interface Asked {
  readonly executionProviders?: readonly string[];
  readonly extra?: { readonly session: Readonly<Record<string, unknown>> };
}

/** What sessions were asked for. */
const asked: Asked[] = [];

/** The package as where the provider is installed; the CPU computes in its place. */
async function withProvider(): Promise<Ort> {
  const ort = await loadOrt();
  const create = ((model: Uint8Array, options: Asked) => {
    asked.push(options);
    const { executionProviders: _, extra, ...rest } = options;
    const { disable_cpu_ep_fallback: __, ...session } = extra?.session ?? {};
    return ort.InferenceSession.create(model, { ...rest, extra: { session } });
  }) as Ort["InferenceSession"]["create"];
  return { ...ort, InferenceSession: { create } } as Ort;
}

const anyFile = () => fileURLToPath(import.meta.url);

describe.runIf(process.platform === "linux" && process.arch === "x64")("the CUDA engine", () => {
  describeBackend("gpu:cuda", () => openCudaBackend(withProvider, anyFile));
  afterAll(() => {
    expect(asked.length).toBeGreaterThan(5);
    for (const { executionProviders, extra } of asked) {
      expect(executionProviders).toEqual(["cuda"]);
      expect(extra?.session.disable_cpu_ep_fallback).toBe("1");
    }
  });

  test("is one error where the provider is not installed, with what to install", async () => {
    await expect(openCudaBackend(loadOrt, () => "/nowhere/provider.so")).rejects.toMatchObject({
      code: "engine",
      message:
        "the gpu:cuda engine does not start: onnxruntime-node is without its CUDA provider: run `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node`, which also needs CUDA 12 and cuDNN 9 on the system; or use gpu or native",
    });
  });

  test("is one error where the provider is there and does not start", async () => {
    const failing = async () => {
      const create = () => Promise.reject(new Error("libcudnn.so.9: cannot open shared object file\nstack"));
      return { ...(await loadOrt()), InferenceSession: { create } } as unknown as Ort;
    };
    await expect(openCudaBackend(failing, anyFile)).rejects.toThrow(
      /^the gpu:cuda engine does not start: .*libcudnn\.so\.9: cannot open shared object file: it needs CUDA 12, cuDNN 9/,
    );
  });

  test("is looked for where the package's script installs it", async () => {
    const script = new URL(
      "../../../node_modules/onnxruntime-node/script/install-metadata.js",
      import.meta.url,
    );
    expect(await readFile(script, "utf8")).toContain("'./libonnxruntime_providers_cuda.so'");
    await expect(openBackend("gpu:cuda")).rejects.toThrow(/is without its CUDA provider/);
  });
});
