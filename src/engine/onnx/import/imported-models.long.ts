/** Every model on every engine. */
import { describeImportedModels, PACKAGED_MODELS } from "./imported-models.conformance.js";
import { TORCH_MODELS } from "./imported-models.fixture.js";

describeImportedModels({
  torch: TORCH_MODELS,
  packaged: PACKAGED_MODELS,
  engines: ["native", "wasm"],
  trained: TORCH_MODELS,
});
