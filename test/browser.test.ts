/** The root export in a browser: bundled without a Node module, and run where there is a browser. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeAll, describe, expect, test } from "vitest";
import { deferred } from "../src/base/index.js";
import { findTool } from "../src/base/tools.fixture.js";

const root = new URL("..", import.meta.url).pathname;
const program = new URL("./support/browser-program.ts", import.meta.url).pathname;

const chromium = findTool("chromium", [
  process.env.CHROMIUM ?? "chromium",
  "chromium-browser",
  "google-chrome",
]);

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
  const report =
    "fetch('/says', { method: 'POST', body: JSON.stringify(globalThis.kasminaSays ?? failure) })";
  const page = `<script type="module">
    let failure;
    await import("/bundle.js").catch((error) => (failure = error.stack));
    ${report};
  </script>`;
  const { promise: said, resolve: say } = deferred<string>();
  const server = createServer((request, response) => {
    const isBundle = request.url === "/bundle.js";
    response.setHeader("content-type", isBundle ? "text/javascript" : "text/html");
    if (request.url === "/says") void text(request).then(say);
    response.end(isBundle ? bundle : page);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const profile = mkdtempSync(join(tmpdir(), "kasmina-browser-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`];
  const child = spawn(browser, [...flags, `http://127.0.0.1:${port}/`], { stdio: "ignore" });
  const exited = once(child, "exit");
  try {
    const gone = exited.then(() => JSON.stringify(`${browser} ended before the page did`));
    const says: unknown = JSON.parse(await Promise.race([said, gone]));
    if (typeof says === "string") throw new Error(says);
    return says as Record<string, unknown>;
  } finally {
    child.kill("SIGKILL");
    await exited;
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
