export { nodeCrypto } from "./key-crypto.node.js";
export {
  addKey,
  hasKeyFile,
  KEY_KINDS,
  KEYS_VARIABLE,
  type KeyInfo,
  type KeyKind,
  keysIn,
  listKeys,
  loadKeys,
  revokeKey,
  sharePublicKeys,
} from "./key-file.node.js";
