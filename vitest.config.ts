import { defineConfig } from "vitest/config";

const src = new URL("./src/", import.meta.url).pathname;

/** Examples import the package by its name, as users do; here the name means the sources. */
export const alias = [
  { find: /^kasmina$/, replacement: `${src}index.ts` },
  { find: /^kasmina\/(.+)$/, replacement: `${src}$1/index.ts` },
];

export default defineConfig({
  resolve: { alias },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ["./test/support/repeatable-properties.ts"],
    maxWorkers: 2,
  },
});
