/**
 * Seals: what a run writes for itself carries an HMAC under a key of its ring, so that it knows its own work again and
 * takes nobody else's for it. As with envelopes the context names what is sealed, so that no seal serves for another thing,
 * and the run's id is in it, so that none serves in another run:
 *
 *     context 0x00 | u32be(len(run_id)) run_id | data
 */
import { concatBytes, toHex, u32be, utf8 } from "../base/bytes.js";
import { KasminaError } from "../base/errors.js";
import type { KeyRing } from "./key-ring.js";
import { equalMacs } from "./mac.js";

export type SealContext =
  | "kasmina.journal.v1"
  | "kasmina.history.v1"
  | "kasmina.checkpoint.v1"
  | "kasmina.outcome.v1";

export class Sealer {
  readonly #keys: KeyRing;
  readonly #runId: Uint8Array;
  readonly #heads = new Map<SealContext, Uint8Array>();

  /** @param trainingRunId of the run whose work is sealed */
  constructor(keys: KeyRing, trainingRunId: string) {
    this.#keys = keys;
    this.#runId = utf8(trainingRunId);
  }

  /** The key that seals from now on. */
  get keyId(): string {
    return this.#keys.sealingId;
  }

  /** Whether a seal under this key could be checked. */
  knows(keyId: string): boolean {
    return this.#keys.sealingMac(keyId) !== undefined;
  }

  /** 32 bytes. @throws KasminaError `illegal_state` for a key that the ring does not have */
  seal(context: SealContext, data: Uint8Array, keyId = this.keyId): Uint8Array {
    const mac = this.#keys.sealingMac(keyId);
    if (!mac) throw new KasminaError("illegal_state", `there is no key ${keyId} to seal with`);
    return mac(concatBytes(this.#head(context), data));
  }

  /** Whether `seal` (64 hex digits) is that of `data`; false for a key that the ring does not have. */
  holds(context: SealContext, data: Uint8Array, keyId: string, seal: string): boolean {
    if (!this.knows(keyId)) return false;
    return equalMacs(utf8(toHex(this.seal(context, data, keyId))), utf8(seal));
  }

  #head(context: SealContext): Uint8Array {
    const head =
      this.#heads.get(context) ?? concatBytes(utf8(`${context}\0`), u32be(this.#runId.length), this.#runId);
    this.#heads.set(context, head);
    return head;
  }
}
