import { defineConfig } from "vitest/config";
import { alias, plugins } from "./vitest.config.js";

/** The suites that take minutes: soaks, crash schedules, exhaustive corruption. */
export default defineConfig({
  plugins,
  resolve: { alias },
  test: {
    include: ["src/**/*.long.ts", "test/**/*.long.ts", "examples/**/*.long.ts"],
    testTimeout: 1_200_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000 } },
    setupFiles: ["./test/support/repeatable-properties.ts"],
    maxWorkers: 2,
    passWithNoTests: true,
  },
});
