import { defineConfig } from "vitest/config";

const src = new URL("./src/", import.meta.url).pathname;

/** The native engine, which package.json's imports name, is tested as it stands in the sources; `#platform` starts threads, which only the built package has. */
const sourceOfNativeEngine = {
  name: "source-of-native-engine",
  // Before Vite looks into package.json by itself.
  enforce: "pre" as const,
  resolveId: (id: string, importer = "") =>
    id === "#native-engine" && importer.startsWith(src) ? `${src}engine/native/index.ts` : undefined,
};
export const plugins = [sourceOfNativeEngine];

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
