export {
  type Artifact,
  type ArtifactContent,
  type Manifest,
  type Origin,
  type Prewarm,
  packArtifact,
} from "./artifact.js";
export { readArtifactFolder } from "./artifact-folder.js";
export { KernelBuilder, type KernelBuilderOptions, kernelSeed, type ProvidedKernel } from "./builder.js";
export { enginePrewarmer, type KernelCandidate, type Prewarmer, type PrewarmOptions } from "./prewarm.js";
export { checkSignature, type SignatureCheck, signArtifact } from "./signature.js";
export {
  type ArtifactCheck,
  type ArtifactQuery,
  Catalog,
  type CatalogEntry,
  type CatalogListing,
  type CatalogOptions,
} from "./store.js";
export { KernelWorker, type KernelWorkerOptions, type KernelWorkerStats } from "./worker.js";
