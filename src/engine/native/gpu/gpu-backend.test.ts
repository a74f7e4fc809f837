import { describe } from "vitest";
import { describeBackend } from "../../backend.conformance.js";
import { createGpuBackend } from "./gpu-backend.js";
import { adapter } from "./software-adapter.fixture.js";

describe.skipIf(!adapter)("on a device", () => {
  describeBackend("gpu", () => createGpuBackend());
});
