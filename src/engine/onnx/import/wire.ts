/**
 * Protobuf messages as lists of fields, each the bytes that it has in the file: so that a file can be edited and what is not
 * touched stays as it is, byte for byte.
 *
 * https://protobuf.dev/programming-guides/encoding/
 */
import { type ErrorOptions, KasminaError } from "../../../base/errors.js";
import { printable } from "../../../base/text.js";

export interface WireField {
  readonly number: number;
  /** Tag, length and content. */
  readonly bytes: Uint8Array;
  /** Of a length-delimited field; empty for any other. */
  readonly content: Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** @throws KasminaError `invalid_data` where the bytes are no message */
export function fieldsOf(bytes: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = readVarint(bytes, at);
    const { end, from } = fieldEnd(bytes, tag.end, tag.value % 8);
    fields.push({
      number: Math.floor(tag.value / 8),
      bytes: bytes.subarray(at, end),
      content: bytes.subarray(from, end),
    });
    at = end;
  }
  return fields;
}

function fieldEnd(
  bytes: Uint8Array,
  at: number,
  type: number,
): { readonly end: number; readonly from: number } {
  switch (type) {
    case VARINT: {
      const { end } = readVarint(bytes, at);
      return { end, from: end };
    }
    case FIXED64:
      return within(bytes, at + 8, at + 8);
    case FIXED32:
      return within(bytes, at + 4, at + 4);
    case LENGTH_DELIMITED: {
      const length = readVarint(bytes, at);
      return within(bytes, length.end + length.value, length.end);
    }
    default:
      throw invalidModel("the file is no ONNX model");
  }
}

function within(
  bytes: Uint8Array,
  end: number,
  from: number,
): { readonly end: number; readonly from: number } {
  if (end <= bytes.length) return { end, from };
  throw invalidModel("the ONNX model is cut off");
}

/** Numbers up to 2^53, more than any length. */
function readVarint(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let scale = 1;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
    scale *= 0x80;
  }
  throw invalidModel("the ONNX model is cut off");
}

/** A length-delimited field. */
export function field(number: number, content: Uint8Array): WireField {
  const head = [...varint(number * 8 + LENGTH_DELIMITED), ...varint(content.length)];
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return { number, bytes, content };
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return [...bytes, rest];
}

/** The message that the fields are. */
export function joinFields(fields: readonly WireField[]): Uint8Array {
  const out = new Uint8Array(fields.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const { bytes } of fields) {
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}

/** What is wrong with a model, as one line: the names in it come from the file, and may hold anything. */
export function invalidModel(message: string, options: ErrorOptions = {}): KasminaError {
  return new KasminaError("invalid_data", printable(message), options);
}
