export {
  addKey,
  hasKeyFile,
  KEYS_VARIABLE,
  type KeyInfo,
  listKeys,
  loadKeys,
} from "./key-file.node.js";
export { nodeMac } from "./mac.node.js";
