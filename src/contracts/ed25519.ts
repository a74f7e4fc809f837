/** Ed25519 signatures (RFC 8032) behind one small interface, so that Node may bring faster ones. */
import { ed25519 } from "@noble/curves/ed25519.js";

export const SIGNATURE_BYTES = 64;
/** Of a public key, and of the seed that a private key follows from. */
export const ED25519_KEY_BYTES = 32;

export interface Ed25519 {
  /** @param seed 32 bytes */
  publicKey(seed: Uint8Array): Uint8Array;
  /** Makes what signs with the private key of a seed. */
  signer(seed: Uint8Array): (data: Uint8Array) => Uint8Array;
  /** Makes what checks signatures of a public key; it never throws for a signature. */
  verifier(publicKey: Uint8Array): (data: Uint8Array, signature: Uint8Array) => boolean;
}

/** Runs everywhere. */
export const portableEd25519: Ed25519 = {
  publicKey: (seed) => ed25519.getPublicKey(seed),
  signer: (seed) => (data) => ed25519.sign(data, seed),
  verifier: (publicKey) => (data, signature) => {
    try {
      return ed25519.verify(signature, data, publicKey, { zip215: false });
    } catch {
      return false;
    }
  },
};
