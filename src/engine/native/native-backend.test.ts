import { describe, expect, test } from "vitest";
import { describeBackend } from "../backend.conformance.js";
import { createNativeBackend } from "./native-backend.js";

describeBackend("native", () => createNativeBackend({ threads: 2 }));

describe("native back end", () => {
  test("refuses a thread count that is none", async () => {
    await expect(createNativeBackend({ threads: 0 })).rejects.toThrow(/threads must be a whole number/);
    await expect(createNativeBackend({ threads: 1.5 })).rejects.toThrow(/got 1.5/);
  });
});
