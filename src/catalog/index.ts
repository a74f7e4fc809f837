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
export {
  type ArtifactQuery,
  Catalog,
  type CatalogEntry,
  type CatalogListing,
  type CatalogOptions,
  type Verdict,
} from "./store.js";
