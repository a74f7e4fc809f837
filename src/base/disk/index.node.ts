/** The one door to the disk: whatever is written, and whatever is read of a folder that others may have made, goes here. */
export { GrowingFile } from "./append.node.js";
export {
  codeOf,
  isMissing,
  isTemporaryName,
  lstatIfThere,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  SHARED_FILE,
  SHARED_FOLDER,
} from "./checked.node.js";
export {
  hasFolder,
  makeFolder,
  makeSubfolder,
  makeTemporaryFolder,
  moveFile,
  namesIn,
  placeOf,
  placeSocket,
  removeEmptyFolders,
  removeFile,
  removeFolder,
  removeFolderSync,
  requireOwnFolder,
} from "./folders.node.js";
export { type Guarantees, guaranteesOf, missingGuarantees } from "./guarantees.node.js";
export { acquireLease, type Held, heldError, type Lease, type LeaseOptions } from "./lease.node.js";
export { ownIdentity } from "./process-identity.node.js";
export {
  parseJsonFile,
  type ReadOptions,
  readJson,
  readRegular,
  readRegularFrom,
  readRegularIfThere,
  readRegularSync,
  readRegularSyncIfThere,
} from "./read.node.js";
export { ScratchFile } from "./scratch.node.js";
export {
  diskFiles,
  type FileOperations,
  syncFolderSync,
  type WriteFileOptions,
  writeFileAtomically,
  writeFileAtomicallySync,
} from "./write.node.js";
