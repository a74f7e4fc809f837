import { createNativeBackend } from "../engine/native/index.js";
import { describeTrainingSteps } from "./training-steps.conformance.js";

describeTrainingSteps("native", () => createNativeBackend({ threads: 2 }), { steps: 100, tolerance: 1e-4 });
