/** The root export in a browser: bundled without a Node module, and run where there is a browser. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { bundle, runInPage } from "./support/bundle.js";
import { chromium } from "./support/chromium.js";

let external: readonly string[];
let code = "";
beforeAll(async () => {
  ({ code, external } = await bundle("browser-program.ts"));
});

describe("a bundle of the root export for a browser", () => {
  test("holds no Node module and no native engine", () => {
    expect(external).toEqual([]);
    expect(code.length).toBeGreaterThan(100_000);
    expect(code).not.toMatch(/from\s*["']node:|import\(["']node:|require\(["']node:|__vite-browser-external/);
    expect(code).not.toContain("onnxruntime-node");
    expect(code).toContain("the native engine needs Node");
  });

  test("grows a network where Node's own globals are missing", () => {
    const folder = mkdtempSync(join(tmpdir(), "kasmina-bare-"));
    try {
      const print = "console.log(JSON.stringify(globalThis.kasminaSays));";
      const bare = "for (const name of ['process', 'Buffer', 'global', 'require']) delete globalThis[name];";
      writeFileSync(join(folder, "bundle.mjs"), `${code}\n${print}`);
      writeFileSync(join(folder, "main.mjs"), `${bare}\nawait import("./bundle.mjs");`);
      const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "main.mjs")], {
        encoding: "utf8",
      });
      expect(stderr).toBe("");
      expectGrown(JSON.parse(stdout));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.skipIf(!chromium)("grows a network in a headless chromium", async () => {
    expectGrown(await runInPage(chromium ?? "", code));
  });
});

function expectGrown(says: Record<string, unknown>): void {
  expect(says).toMatchObject({
    ended: "finished",
    engine: "wasm",
    predicted: 3,
    onnxBytes: expect.any(Number),
  });
  expect(says.told).toEqual([
    expect.stringMatching(/^engine wasm/),
    expect.stringMatching(/preparing the first step$/),
  ]);
  expect(says.refused).toContain("runDir needs Node");
}
