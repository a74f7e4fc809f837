/** Bundles a program for a browser, as its user's tools would, and runs it in a page. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { Alias } from "vite";
import { BrowserPage } from "./chromium.js";

const root = new URL("../..", import.meta.url).pathname;

export interface Bundle {
  readonly code: string;
  /** Modules that it asks its surroundings for. */
  readonly external: readonly string[];
}

export interface BundleOptions {
  /** What stands for a module. */
  readonly alias?: readonly Alias[];
}

/** @param program a file in this folder */
export async function bundle(program: string, { alias = [] }: BundleOptions = {}): Promise<Bundle> {
  const { build } = await import("vite");
  const external = new Set<string>();
  const output = await build({
    root,
    configFile: false,
    logLevel: "silent",
    resolve: { alias: [...alias] },
    build: {
      write: false,
      minify: false,
      target: "es2023",
      rollupOptions: {
        input: new URL(program, import.meta.url).pathname,
        external: (id) => {
          const isNodes = id.startsWith("node:") || id.startsWith("onnxruntime-node");
          if (isNodes) external.add(id);
          return isNodes;
        },
        output: { codeSplitting: false },
      },
    },
  });
  const chunks = [output].flat().flatMap((one) => ("output" in one ? one.output : []));
  const code = chunks.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("\n");
  return { code, external: [...external] };
}

export interface PageOptions {
  /** Of the browser's command line. */
  readonly flags?: readonly string[];
  readonly withinMs?: number;
}

/** Runs the bundle in a page, and resolves with what it says. */
export async function runInPage(
  browser: string,
  code: string,
  { flags = [], withinMs }: PageOptions = {},
): Promise<Record<string, unknown>> {
  const page = `<script type="module">
    await import("/bundle.js").catch((error) => (globalThis.failure = error.stack));
  </script>`;
  const server = createServer((request, response) => {
    const isBundle = request.url === "/bundle.js";
    response.setHeader("content-type", isBundle ? "text/javascript" : "text/html");
    response.end(isBundle ? code : page);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const tab = await BrowserPage.open(browser, flags);
  try {
    await tab.goto(`http://127.0.0.1:${port}/`);
    await tab.until("globalThis.kasminaSays !== undefined || globalThis.failure !== undefined", withinMs);
    const says = await tab.evaluate<unknown>("globalThis.failure ?? globalThis.kasminaSays");
    if (typeof says === "string") throw new Error(says);
    return says as Record<string, unknown>;
  } finally {
    await tab.close();
    server.close();
  }
}
