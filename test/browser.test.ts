/** The root export in a browser: bundled without a Node module, and run where there is a browser. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const program = new URL("./support/browser-program.ts", import.meta.url).pathname;

const BROWSERS = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"];
const chromium = BROWSERS.find((name) => name && spawnSync(name, ["--version"]).status === 0);
const isRequired = (process.env.KASMINA_REQUIRE ?? "").split(",").includes("chromium");
if (!chromium && !isRequired) console.warn("no chromium here: the bundle is built and not run");

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
      const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "main.mjs")], { encoding: "utf8" });
      expect(stderr).toBe("");
      expectGrown(JSON.parse(stdout));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.skipIf(!chromium && !isRequired)("grows a network in a headless chromium", async () => {
    expect(chromium, "KASMINA_REQUIRE asks for chromium").toBeDefined();
    expectGrown(await runIn(chromium ?? "", code));
  });
});

function expectGrown(says: Record<string, unknown>): void {
  expect(says).toMatchObject({ ended: "finished", engine: "wasm", predicted: 3, onnxBytes: expect.any(Number) });
  expect(says.told).toEqual([expect.stringMatching(/^engine wasm/)]);
  expect(says.refused).toContain("runDir needs Node");
}

/** Runs the bundle as a page of a server of its own, and resolves with what it says. */
async function runIn(browser: string, bundle: string): Promise<Record<string, unknown>> {
  const { createServer } = await import("node:http");
  const folder = mkdtempSync(join(tmpdir(), "kasmina-browser-"));
  writeFileSync(join(folder, "bundle.js"), bundle);
  const report = "fetch('/says', { method: 'POST', body: JSON.stringify(globalThis.kasminaSays ?? String(failure)) })";
  const page = `<script type="module">let failure; await import("/bundle.js").catch((error) => { failure = error.stack; }); ${report}</script>`;
  const said = new Promise<Record<string, unknown>>((resolve, reject) => {
    const server = createServer((request, response) => {
      if (request.url === "/says") {
        let text = "";
        request.on("data", (part) => (text += part)).on("end", () => {
          response.end();
          server.close();
          const parsed = JSON.parse(text) as Record<string, unknown> | string;
          if (typeof parsed === "string") reject(new Error(parsed));
          else resolve(parsed);
        });
      } else if (request.url === "/bundle.js") {
        response.setHeader("content-type", "text/javascript").end(bundle);
      } else response.setHeader("content-type", "text/html").end(page);
    });
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${folder}/profile`];
      const child = spawn(browser, [...flags, `http://127.0.0.1:${port}/`], { stdio: "ignore" });
      server.on("close", () => child.kill("SIGKILL"));
      child.on("error", reject);
      child.on("exit", () => reject(new Error(`${browser} ended before the page did`)));
    });
  });
  return said.finally(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
}
