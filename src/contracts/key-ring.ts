/**
 * The keys that sign and verify, by key id. Several at once, so that a new key can sign while commands under the
 * old one are still on their way (rotation). Secrets go in and never come out: not in JSON, not in a log.
 */
import { KasminaError } from "../base/errors.js";
import { ED25519_KEY_BYTES, type Ed25519, portableEd25519, SIGNATURE_BYTES } from "./ed25519.js";
import { equalMacs, MAC_BYTES, type Mac, type MacFactory, portableMac } from "./mac.js";
import { type KeyRole, mayCommand } from "./roles.js";

/** Whose a key is. */
interface KeyOwner {
  /** 1 to 64 letters, digits, `-`, `_`, `.`. */
  readonly id: string;
  /** Left out: the key of whoever owns the run, which may do everything. */
  readonly role?: KeyRole;
  /** The only `issued_by` that commands under the key may have. Default: any. */
  readonly issuer?: string;
  /** It verifies nothing any more, but seals that a run made with it hold. */
  readonly revoked?: boolean;
}

/** A key that all who verify have too: for one process, or one owner. */
export interface HmacKey extends KeyOwner {
  /** At least 32 bytes (RFC 2104 §3: not shorter than the hash's output). */
  readonly secret: Uint8Array;
}

/** A pair of keys: whoever has the public one alone can verify and not sign. */
export interface Ed25519Key extends KeyOwner {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes; left out where somebody else signs. */
  readonly seed?: Uint8Array;
}

export type Key = HmacKey | Ed25519Key;

/** How one key signs and verifies. */
export interface Signing {
  readonly id: string;
  readonly role: KeyRole | undefined;
  readonly issuer: string | undefined;
  readonly signatureBytes: number;
  /** Undefined where only the public half is here. */
  readonly sign: ((data: Uint8Array) => Uint8Array) | undefined;
  /** Takes as long whatever is wrong. */
  readonly verify: (data: Uint8Array, signature: Uint8Array) => boolean;
}

export const MIN_SECRET_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

export interface KeyCrypto {
  readonly createMac: MacFactory;
  readonly ed25519: Ed25519;
}

const PORTABLE: KeyCrypto = { createMac: portableMac, ed25519: portableEd25519 };

export class KeyRing {
  #signings: ReadonlyMap<string, Signing> = new Map();
  #macs: ReadonlyMap<string, Mac> = new Map();
  #activeId = "";
  #commanders = 0;
  readonly #crypto: KeyCrypto;

  /**
   * @param keys the active one first
   * @throws KasminaError `invalid_argument` for no key, two of one id, a bad id, a short secret, or an active key that is revoked or
   * cannot sign
   */
  constructor(keys: readonly Key[], crypto: KeyCrypto = PORTABLE) {
    this.#crypto = crypto;
    this.replace(keys);
  }

  /** The key that signs. */
  get activeId(): string {
    return this.#activeId;
  }

  /** How the active key signs. */
  get active(): Signing {
    const active = this.#signings.get(this.#activeId);
    if (!active)
      throw new KasminaError("illegal_state", `the active key ${this.#activeId} is not in its ring`);
    return active;
  }

  /**
   * The key under which the run seals what it writes for itself: the active one, or the first that is a secret of this side's.
   * @throws KasminaError `invalid_argument` where there is none
   */
  get sealingId(): string {
    if (this.#macs.has(this.#activeId)) return this.#activeId;
    const [first] = this.#macs.keys();
    if (first !== undefined) return first;
    throw new KasminaError(
      "invalid_argument",
      "a run seals its journal with a secret of its own: add one with `kasmina keys new --role trainer`",
    );
  }

  /** The MAC of seals under a key, a revoked one included; undefined where the ring has no such secret. */
  sealingMac(id: string): Mac | undefined {
    return this.#macs.get(id);
  }

  /** How many of those that verify may order anything. */
  get commanders(): number {
    return this.#commanders;
  }

  /** Those that verify. */
  get ids(): readonly string[] {
    return [...this.#signings.keys()];
  }

  /** Undefined where the ring has no such key, or where it is revoked. */
  find(id: string): Signing | undefined {
    return this.#signings.get(id);
  }

  /** Takes other keys, from now on, for all who hold this ring. @throws as the constructor, and keeps those it has */
  replace(keys: readonly Key[]): void {
    const [active] = keys;
    if (!active) throw new KasminaError("invalid_argument", "a key ring needs at least one key");
    for (const [index, key] of keys.entries()) checkKey(key, index);
    const macs = new Map(
      keys.flatMap((key) => ("secret" in key ? [[key.id, this.#crypto.createMac(key.secret)] as const] : [])),
    );
    const valid = keys.filter(({ revoked }) => !revoked);
    const signings = new Map(valid.map((key) => [key.id, this.#signing(key, macs.get(key.id))]));
    if (new Set(keys.map(({ id }) => id)).size !== keys.length)
      throw new KasminaError("invalid_argument", "two keys of the ring share an id");
    if (!signings.get(active.id)?.sign) {
      const why = active.revoked ? "is revoked" : "has no private half here";
      throw new KasminaError("invalid_argument", `the active key ${active.id} ${why}: another must sign`);
    }
    this.#signings = signings;
    // What a run has sealed, and goes on sealing its journal with, it keeps.
    this.#macs = new Map([...macs, ...this.#macs]);
    this.#activeId = active.id;
    this.#commanders = valid.filter(({ role }) => mayCommand(role)).length;
  }

  /** For JSON: no secret. */
  toJSON(): { readonly activeId: string } {
    return { activeId: this.#activeId };
  }

  #signing(key: Key, mac: Mac | undefined): Signing {
    const { id, role, issuer } = key;
    const owner = { id, role, issuer };
    if (mac)
      return {
        ...owner,
        signatureBytes: MAC_BYTES,
        sign: mac,
        verify: (data, signature) => equalMacs(mac(data), signature),
      };
    const { publicKey, seed } = key as Ed25519Key;
    return {
      ...owner,
      signatureBytes: SIGNATURE_BYTES,
      sign: seed && this.#crypto.ed25519.signer(seed),
      verify: this.#crypto.ed25519.verifier(publicKey),
    };
  }
}

/** Names a key by its place: what stands where the id belongs may be a secret. */
function checkKey(key: Key, index: number): void {
  const refuse = (what: string): never => {
    throw new KasminaError("invalid_argument", `key ${index + 1} of the ring: ${what}`);
  };
  if (!KEY_ID.test(key.id)) refuse("a key id must be 1 to 64 letters, digits, - _ or .");
  if ("secret" in key) {
    const { length } = key.secret;
    if (length < MIN_SECRET_BYTES) refuse(`it has ${length} bytes, needs at least ${MIN_SECRET_BYTES}`);
    return;
  }
  for (const half of [key.publicKey, key.seed])
    if (half && half.length !== ED25519_KEY_BYTES)
      refuse(`it is Ed25519 and has ${half.length} bytes, needs ${ED25519_KEY_BYTES}`);
}
