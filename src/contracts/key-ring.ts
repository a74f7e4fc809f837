/**
 * The keys that sign and verify, by key id. Several at once, so that a new key can sign while commands under the
 * old one are still on their way (rotation). Secrets go in and never come out: not in JSON, not in a log.
 */
import { KasminaError } from "../base/errors.js";
import { type Mac, type MacFactory, portableMac } from "./mac.js";

export interface Key {
  /** 1 to 64 letters, digits, `-`, `_`, `.`. */
  readonly id: string;
  /** At least 32 bytes (RFC 2104 §3: not shorter than the hash's output). */
  readonly secret: Uint8Array;
}

export const MIN_SECRET_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

export class KeyRing {
  readonly #macs: ReadonlyMap<string, Mac>;
  /** The key that signs. */
  readonly activeId: string;

  /**
   * @param keys the active one first
   * @throws KasminaError `invalid_argument` for no key, two of one id, a bad id, or a short secret
   */
  constructor(keys: readonly Key[], createMac: MacFactory = portableMac) {
    const [active] = keys;
    if (!active) throw new KasminaError("invalid_argument", "a key ring needs at least one key");
    for (const key of keys) checkKey(key);
    this.#macs = new Map(keys.map((key) => [key.id, createMac(key.secret)]));
    if (this.#macs.size !== keys.length)
      throw new KasminaError("invalid_argument", "two keys of the ring share an id");
    this.activeId = active.id;
  }

  /** The key under which the run seals what it writes for itself. */
  get sealingId(): string {
    return this.activeId;
  }

  /** The MAC of seals under a key; undefined where the ring has no such key. */
  sealingMac(id: string): Mac | undefined {
    return this.#macs.get(id);
  }

  get ids(): readonly string[] {
    return [...this.#macs.keys()];
  }

  /** The MAC under a key; undefined where the ring has no such key. */
  mac(id: string): Mac | undefined {
    return this.#macs.get(id);
  }
}

function checkKey(key: Key): void {
  if (!KEY_ID.test(key.id))
    throw new KasminaError(
      "invalid_argument",
      `key id ${JSON.stringify(key.id.slice(0, 80))} must be 1 to 64 letters, digits, - _ or .`,
    );
  if (key.secret.length < MIN_SECRET_BYTES)
    throw new KasminaError(
      "invalid_argument",
      `key ${key.id} has ${key.secret.length} bytes, needs at least ${MIN_SECRET_BYTES}`,
    );
}
