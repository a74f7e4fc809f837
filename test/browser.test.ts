/** The root export in a browser: bundled without a Node module, and run where there is a browser. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { BrowserPage, chromium } from "./support/chromium.js";

const root = new URL("..", import.meta.url).pathname;
const program = new URL("./support/browser-program.ts", import.meta.url).pathname;

/** Modules that a bundle asks its surroundings for. */
let external: readonly string[];
let code = "";
beforeAll(async () => {
  const { build } = await import("vite");
  const found = new Set<string>();
  const output = await build({
    root,
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      minify: false,
      target: "es2023",
      rollupOptions: {
        input: program,
        external: (id) => {
          const isNodes = id.startsWith("node:") || id.startsWith("onnxruntime-node");
          if (isNodes) found.add(id);
          return isNodes;
        },
        output: { codeSplitting: false },
      },
    },
  });
  const chunks = [output].flat().flatMap((one) => ("output" in one ? one.output : []));
  code = chunks.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("\n");
  external = [...found];
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
    expectGrown(await runIn(chromium ?? "", code));
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

/** Runs the bundle in a page, and resolves with what it says. */
async function runIn(browser: string, bundle: string): Promise<Record<string, unknown>> {
  const page = `<script type="module">
    await import("/bundle.js").catch((error) => (globalThis.failure = error.stack));
  </script>`;
  const server = createServer((request, response) => {
    const isBundle = request.url === "/bundle.js";
    response.setHeader("content-type", isBundle ? "text/javascript" : "text/html");
    response.end(isBundle ? bundle : page);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const tab = await BrowserPage.open(browser);
  try {
    await tab.goto(`http://127.0.0.1:${port}/`);
    await tab.until("globalThis.kasminaSays !== undefined || globalThis.failure !== undefined");
    const says = await tab.evaluate<unknown>("globalThis.failure ?? globalThis.kasminaSays");
    if (typeof says === "string") throw new Error(says);
    return says as Record<string, unknown>;
  } finally {
    await tab.close();
    server.close();
  }
}
