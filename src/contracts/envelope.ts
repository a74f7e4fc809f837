/**
 * The signed envelope (docs/architecture.md, "Command security"): bytes, and a signature (HMAC-SHA-256 or Ed25519) over exactly
 * those bytes, never over a re-encoding. What is signed:
 *
 *     context 0x00 | u32be(len(key_id)) key_id | u32be(len(payload)) payload
 *
 * The context names the stream, so that a signature for one can never serve another.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { concatBytes, u32be, utf8 } from "../base/bytes.js";
import { KasminaError } from "../base/errors.js";
import { SignedEnvelopeSchema } from "./gen/kasmina/v1/envelope_pb.js";
import type { KeyRing, Signing } from "./key-ring.js";
import { type EnvelopeContext, STREAMS } from "./streams.js";
import { decodeText } from "./text.js";

export const COMMAND_CONTEXT = STREAMS.commands.context;

const ENVELOPE_VERSION = 1;

const CONTEXT_BYTES: ReadonlyMap<EnvelopeContext, Uint8Array> = new Map(
  Object.values(STREAMS).map(({ context }) => [context, utf8(`${context}\0`)]),
);

/** The bytes that the MAC is over. */
export function signingInput(context: EnvelopeContext, keyId: string, payload: Uint8Array): Uint8Array {
  return withPayload(signingHead(context, keyId), payload).slice();
}

/** What stands before the payload's length: the same for every message under one key. */
function signingHead(context: EnvelopeContext, keyId: string): Uint8Array {
  const id = utf8(keyId);
  return concatBytes(CONTEXT_BYTES.get(context) ?? utf8(`${context}\0`), u32be(id.length), id);
}

/** The one copy that signing makes; a signature is done with it before the next one is made. */
let scratch = new Uint8Array(4_096);

function withPayload(head: Uint8Array, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const at = head.length;
  const total = at + 4 + length;
  if (total > scratch.length) scratch = new Uint8Array(2 * total);
  scratch.set(head);
  scratch[at] = length >>> 24;
  scratch[at + 1] = length >>> 16;
  scratch[at + 2] = length >>> 8;
  scratch[at + 3] = length;
  scratch.set(payload, at + 4);
  return scratch.subarray(0, total);
}

/** Heads of the keys that a ring holds, made once: half of what making the input costs. */
const HEADS = new WeakMap<Signing, Map<EnvelopeContext, Uint8Array>>();

function headOf(key: Signing, context: EnvelopeContext): Uint8Array {
  const heads = HEADS.get(key) ?? new Map<EnvelopeContext, Uint8Array>();
  const known = heads.get(context);
  if (known) return known;
  const head = signingHead(context, key.id);
  HEADS.set(key, heads.set(context, head));
  return head;
}

/** The payload signed with the ring's active key, serialized. */
export function signEnvelope(keys: KeyRing, context: EnvelopeContext, payload: Uint8Array): Uint8Array {
  const { active } = keys;
  const signature = active.sign?.(withPayload(headOf(active, context), payload));
  if (!signature) throw new KasminaError("illegal_state", `the active key ${active.id} cannot sign`);
  return toBinary(
    SignedEnvelopeSchema,
    create(SignedEnvelopeSchema, {
      version: ENVELOPE_VERSION,
      keyId: active.id,
      payload: Uint8Array.from(payload),
      signature: Uint8Array.from(signature),
    }),
  );
}

/** An envelope's parts, as views of the bytes it was read from. */
export interface EnvelopeParts {
  readonly version: number;
  readonly keyId: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** The envelope's parts, or undefined where the bytes are none of this version. Nothing is verified. */
export function decodeEnvelope(bytes: Uint8Array): EnvelopeParts | undefined {
  try {
    const envelope = readEnvelope(new BinaryReader(bytes, decodeText));
    return envelope.version === ENVELOPE_VERSION || envelope.signature.length === 0 ? envelope : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads the four fields by hand: forgeries are turned away here, before anything of theirs is decoded, and this is
 * several times faster than reading by reflection. Unknown fields are skipped, of repeated ones the last counts.
 */
function readEnvelope(reader: BinaryReader): EnvelopeParts {
  const envelope = { version: 0, keyId: "", payload: NOTHING, signature: NOTHING };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.Varint) envelope.version = reader.uint32();
    else if (field === 2 && wireType === WireType.LengthDelimited) envelope.keyId = reader.string(true);
    else if (field === 3 && wireType === WireType.LengthDelimited) envelope.payload = reader.bytes();
    else if (field === 4 && wireType === WireType.LengthDelimited) envelope.signature = reader.bytes();
    else reader.skip(wireType, field);
  }
  return envelope;
}

const NOTHING: Uint8Array = new Uint8Array();

/** Why a signature does not hold; undefined where it does. */
export function signatureProblem(
  keys: KeyRing,
  context: EnvelopeContext,
  envelope: EnvelopeParts,
): "missing_signature" | "invalid_signature" | undefined {
  if (envelope.signature.length === 0) return "missing_signature";
  const key = keys.find(envelope.keyId);
  if (!key || envelope.signature.length !== key.signatureBytes) return "invalid_signature";
  const input = withPayload(headOf(key, context), envelope.payload);
  return key.verify(input, envelope.signature) ? undefined : "invalid_signature";
}
