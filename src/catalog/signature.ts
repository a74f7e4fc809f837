/**
 * Who vouches for an artifact: a signed envelope over its SHA-256, in a file beside its two. The artifact and its name stay as they
 * are, so that a signature can be added, or another put in its place.
 */
import { fromHex, KasminaError, toHex } from "../base/index.js";
import {
  ARTIFACT_CONTEXT,
  decodeEnvelope,
  type KeyRing,
  maySignArtifacts,
  signatureProblem,
  signEnvelope,
} from "../contracts/index.js";

/** An envelope of a key id and a signature takes 200 bytes. */
export const SIGNATURE_MAX_BYTES = 1_024;

export interface SignatureCheck {
  /**
   * `signed`: a key of the ring vouches for it; `unsigned`; `unknown`: signed with a key that is not in the ring; `bad`: the signature
   * is that of something else, or its key is good for other things.
   */
  readonly state: "signed" | "unsigned" | "unknown" | "bad";
  /** What the signature says; believed where the state is `signed`. */
  readonly keyId?: string;
  /** One line; left out where it is signed. */
  readonly problem?: string;
}

/**
 * The bytes that vouch for an artifact.
 * @throws KasminaError `invalid_argument` where the ring's active key is not for that, or cannot sign here
 */
export function signArtifact(keys: KeyRing, sha256: string): Uint8Array {
  const { id, role, sign } = keys.active;
  if (!maySignArtifacts(role))
    throw new KasminaError("invalid_argument", `key ${id} is a ${role}'s: it vouches for no kernel`);
  if (!sign) throw new KasminaError("invalid_argument", `key ${id} has no private half here`);
  return signEnvelope(keys, ARTIFACT_CONTEXT, fromHex(sha256));
}

/** Whether these bytes vouch for an artifact. Never throws. @param keys left out: nobody's signature is known */
export function checkSignature(
  sha256: string,
  signature: Uint8Array | undefined,
  keys: KeyRing | undefined,
): SignatureCheck {
  if (!signature) return { state: "unsigned", problem: "it is not signed" };
  const envelope = decodeEnvelope(signature);
  if (!envelope || toHex(envelope.payload) !== sha256)
    return { state: "bad", problem: "its signature is not of this artifact" };
  const { keyId } = envelope;
  const key = keys?.find(keyId);
  if (!keys || !key)
    return { state: "unknown", keyId, problem: `it is signed with key ${keyId}, which is not known here` };
  if (signatureProblem(keys, ARTIFACT_CONTEXT, envelope))
    return { state: "bad", keyId, problem: `its signature is not that of key ${keyId}` };
  if (!maySignArtifacts(key.role))
    return { state: "bad", keyId, problem: `key ${keyId} is a ${key.role}'s: it vouches for no kernel` };
  return { state: "signed", keyId };
}
