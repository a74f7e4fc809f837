/**
 * The signed envelope (DESIGN §4): bytes, and an HMAC-SHA-256 over exactly those bytes, never over a re-encoding.
 * What is signed:
 *
 *     context 0x00 | u32be(len(key_id)) key_id | u32be(len(payload)) payload
 *
 * The context names the stream, so that a signature for one can never serve another.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../base/bytes.js";
import { KasminaError } from "../base/errors.js";
import { type SignedEnvelope, SignedEnvelopeSchema } from "./gen/kasmina/v1/envelope_pb.js";
import type { KeyRing } from "./key-ring.js";
import { equalMacs, MAC_BYTES } from "./mac.js";

export const COMMAND_CONTEXT = "kasmina.command.v1";
export const KERNEL_CONTEXT = "kasmina.kernel.v1";
export type EnvelopeContext = typeof COMMAND_CONTEXT | typeof KERNEL_CONTEXT;

export const ENVELOPE_VERSION = 1;

const CONTEXT_BYTES: { readonly [C in EnvelopeContext]: Uint8Array } = {
  [COMMAND_CONTEXT]: utf8(`${COMMAND_CONTEXT}\0`),
  [KERNEL_CONTEXT]: utf8(`${KERNEL_CONTEXT}\0`),
};

/** The bytes that the MAC is over. */
export function signingInput(context: EnvelopeContext, keyId: string, payload: Uint8Array): Uint8Array {
  const head = CONTEXT_BYTES[context];
  const id = utf8(keyId);
  const out = new Uint8Array(head.length + 8 + id.length + payload.length);
  const view = new DataView(out.buffer);
  out.set(head);
  view.setUint32(head.length, id.length);
  out.set(id, head.length + 4);
  view.setUint32(head.length + 4 + id.length, payload.length);
  out.set(payload, head.length + 8 + id.length);
  return out;
}

/** The payload signed with the ring's active key, serialized. */
export function signEnvelope(keys: KeyRing, context: EnvelopeContext, payload: Uint8Array): Uint8Array {
  const mac = keys.mac(keys.activeId);
  if (!mac) throw new KasminaError("illegal_state", `the active key ${keys.activeId} is not in its ring`);
  const signature = mac(signingInput(context, keys.activeId, payload));
  return toBinary(
    SignedEnvelopeSchema,
    create(SignedEnvelopeSchema, {
      version: ENVELOPE_VERSION,
      keyId: keys.activeId,
      payload,
      signature: Uint8Array.from(signature),
    }),
  );
}

/** The envelope's parts, or undefined where the bytes are none of this version. Nothing is verified. */
export function decodeEnvelope(bytes: Uint8Array): SignedEnvelope | undefined {
  try {
    const envelope = fromBinary(SignedEnvelopeSchema, bytes, { readUnknownFields: false });
    return envelope.version === ENVELOPE_VERSION || envelope.signature.length === 0 ? envelope : undefined;
  } catch {
    return undefined;
  }
}

/** Why a signature does not hold; undefined where it does. */
export function signatureProblem(
  keys: KeyRing,
  context: EnvelopeContext,
  envelope: SignedEnvelope,
): "missing_signature" | "invalid_signature" | undefined {
  if (envelope.signature.length === 0) return "missing_signature";
  const mac = keys.mac(envelope.keyId);
  if (!mac || envelope.signature.length !== MAC_BYTES) return "invalid_signature";
  const expected = mac(signingInput(context, envelope.keyId, envelope.payload));
  return equalMacs(expected, envelope.signature) ? undefined : "invalid_signature";
}
