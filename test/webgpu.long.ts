/** The WebGPU engine of a browser, in a headless Chromium whose adapter is SwiftShader: the engine's suites, and a growth. */
import { beforeAll, describe, expect, test } from "vitest";
import { bundle, runInPage } from "./support/bundle.js";
import { chromium } from "./support/chromium.js";
import type { Outcome } from "./support/vitest-in-a-page.js";

/** Without a GPU too: the driver computes on the CPU. */
const SWIFTSHADER = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

interface Grown {
  readonly engine: string;
  readonly ended: string;
  readonly losses: readonly number[];
  readonly stages: readonly string[];
  readonly predicted: readonly number[];
}

interface Says {
  readonly outcomes: readonly Outcome[];
  readonly webgpu: Grown;
  readonly wasm: Grown;
}

describe.skipIf(!chromium)("in a browser with WebGPU", () => {
  let says: Says;
  beforeAll(async () => {
    const vitest = new URL("support/vitest-in-a-page.ts", import.meta.url).pathname;
    const { code } = await bundle("webgpu-program.ts", {
      alias: [{ find: /^vitest$/, replacement: vitest }],
    });
    const options = { flags: SWIFTSHADER, withinMs: 500_000 };
    says = (await runInPage(chromium ?? "", code, options)) as unknown as Says;
  });

  test("the engine's suites hold", () => {
    expect(says.outcomes.filter(({ problem }) => problem !== undefined)).toEqual([]);
    const names = says.outcomes.map(({ name }) => name);
    for (const suite of ["back end webgpu", "webgpu and wasm agree", "resmlp on webgpu", "charlm on webgpu"])
      expect(names.some((name) => name.startsWith(suite))).toBe(true);
    expect(names.length).toBeGreaterThan(150);
  });

  test("a seed is grown through the same stages, with losses as on WebAssembly", () => {
    const { webgpu, wasm } = says;
    expect(webgpu).toMatchObject({ engine: "webgpu", ended: "finished" });
    expect(webgpu.stages).toEqual(expect.arrayContaining(["TRAINING", "BLENDING", "SHADOWING"]));
    expect(webgpu.stages).toEqual(wasm.stages);
    const apart = webgpu.losses.map((loss, i) => Math.abs(loss / (wasm.losses[i] ?? Number.NaN) - 1));
    expect(apart.length).toBe(60);
    expect(Math.max(...apart)).toBeLessThan(1e-2);
    expect(webgpu.predicted).toEqual(wasm.predicted);
  });
});
