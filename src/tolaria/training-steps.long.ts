/** On a device, of a few steps: without a GPU the driver computes them on the CPU. */
import { describe } from "vitest";
import { adapter } from "../engine/native/gpu/software-adapter.fixture.js";
import { createGpuBackend } from "../engine/native/index.js";
import { describeTrainingSteps } from "./training-steps.conformance.js";

describe.skipIf(!adapter)("on a device", () => {
  describeTrainingSteps("gpu", () => createGpuBackend(), { steps: 10, tolerance: 1e-4 });
});
