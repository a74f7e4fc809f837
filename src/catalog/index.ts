export {
  type Artifact,
  type ArtifactContent,
  artifactRef,
  type Manifest,
  type Origin,
  openArtifact,
  type Prewarm,
  packArtifact,
} from "./artifact.js";
export { readArtifactFolder } from "./artifact-folder.js";
export { KernelBuilder, type KernelBuilderOptions, type ProvidedKernel } from "./builder.js";
export { enginePrewarmer, type KernelCandidate, type Prewarmer, type PrewarmOptions } from "./prewarm.js";
export {
  type ArtifactQuery,
  Catalog,
  type CatalogEntry,
  type CatalogListing,
  type CatalogOptions,
  type Verdict,
} from "./store.js";
export { KernelWorker, type KernelWorkerOptions, type KernelWorkerStats } from "./worker.js";
