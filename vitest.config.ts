import { defineConfig } from "vitest/config";

const src = new URL("./src/", import.meta.url).pathname;

/** What package.json's imports name by `#`, for sources: the built package resolves it to itself. */
const sourcesOfImports = {
  name: "sources-of-imports",
  resolveId: (id: string, importer = "") => (importer.startsWith(src) ? SOURCES[id] : undefined),
};
const SOURCES: Readonly<Record<string, string>> = {
  "#platform": `${src}weatherlight/run/platform.node.ts`,
  "#native-engine": `${src}engine/native/index.ts`,
};
export const plugins = [sourcesOfImports];

/** Examples import the package by its name, as users do; here the name means the sources. */
export const alias = [
  { find: /^kasmina$/, replacement: `${src}index.ts` },
  { find: /^kasmina\/(.+)$/, replacement: `${src}$1/index.ts` },
];

export default defineConfig({
  plugins,
  resolve: { alias },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // On a busy machine a test takes many times as long: only one that hangs is to run into these.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    setupFiles: ["./test/support/repeatable-properties.ts"],
    maxWorkers: 2,
    // Loading the modules anew for each file took a quarter of the time; no test leaves anything in them.
    isolate: false,
  },
});
