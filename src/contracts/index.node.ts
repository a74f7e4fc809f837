export {
  addKey,
  hasKeyFile,
  KEYS_VARIABLE,
  type KeyInfo,
  keysFromEnvironment,
  listKeys,
  loadKeys,
  readKeyFile,
} from "./key-file.node.js";
export { nodeMac } from "./mac.node.js";
