/** HMAC-SHA-256 by Node's own crypto: several times faster than {@link portableMac} on the same bytes. */
import { createHmac, createSecretKey } from "node:crypto";
import type { MacFactory } from "./mac.js";

export const nodeMac: MacFactory = (secret) => {
  const key = createSecretKey(secret);
  return (data) => createHmac("sha256", key).update(data).digest();
};
