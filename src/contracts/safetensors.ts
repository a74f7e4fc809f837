/**
 * The safetensors format: a length, a JSON header, then the tensors' bytes.
 * Source: https://github.com/huggingface/safetensors#format, and the attacks its security audit names: a huge
 * header, offsets that overlap, leave holes or overflow, and duplicate keys.
 *
 * The reader is stricter than the reference: it takes only the dtypes of {@link DType}, no unknown fields, no
 * second spelling of a name, booleans of 0 and 1. It checks the whole header before it copies a tensor, and the copies
 * add up to no more than the bytes it was given.
 */
import { KasminaError } from "../base/errors.js";
import { parseStrictJson } from "../base/json.js";
import { checkedTensor, type DType, sizeOf, type Tensor, type TensorData, type Tensors } from "./tensor.js";

export interface SafetensorsLimits {
  /** Longest JSON header. Default 4 MiB, some 30,000 tensors. */
  readonly headerMaxBytes: number;
  /** Most bytes of tensor data. Default 2 GiB. */
  readonly dataMaxBytes: number;
  /** Most dimensions of a tensor. Default 8. */
  readonly rankMax: number;
}

/** Tensors with string metadata, as one file holds them. */
export interface SafetensorsContent {
  readonly tensors: Tensors;
  readonly metadata: Readonly<Record<string, string>>;
}

const DEFAULT_LIMITS: SafetensorsLimits = {
  headerMaxBytes: 4 * 1024 * 1024,
  dataMaxBytes: 2 * 1024 * 1024 * 1024,
  rankMax: 8,
};

const NAME_MAX_CHARS = 512;
const METADATA_KEY = "__metadata__";
const INFO_KEYS = "data_offsets,dtype,shape";

const NAME_OF = { float32: "F32", int32: "I32", uint32: "U32", bool: "BOOL" } as const satisfies Record<
  DType,
  string
>;
const DTYPE_OF: ReadonlyMap<unknown, DType> = new Map(
  Object.entries(NAME_OF).map(([dtype, name]) => [name, dtype as DType]),
);
const BYTES_OF: Record<DType, number> = { float32: 4, int32: 4, uint32: 4, bool: 1 };

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * The tensors as one safetensors file, in the order of the record. Equal input gives equal bytes; the data starts at
 * a multiple of 8.
 * @throws KasminaError `invalid_argument` for a name that the format or our reader refuses
 */
export function encodeSafetensors(
  tensors: Tensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries = Object.entries(tensors);
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [[METADATA_KEY, metadata]] : [];
  let offset = 0;
  for (const [name, tensor] of entries) {
    const problem = nameProblem(name);
    if (problem) throw new KasminaError("invalid_argument", `tensor name ${problem}: ${quote(name)}`);
    const { shape, dtype, data } = checkedTensor(tensor);
    header.push([name, { dtype: NAME_OF[dtype], shape, data_offsets: [offset, offset + data.byteLength] }]);
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(json, 8);
  file.fill(0x20, 8 + json.length, 8 + headerBytes);
  let at = 8 + headerBytes;
  for (const [, { data }] of entries) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/**
 * Reads a whole safetensors file. The tensors are copies, in the order of the header.
 * @throws KasminaError `corrupt` for anything that is not exactly one well-formed file within the limits
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  limits: Partial<SafetensorsLimits> = {},
): SafetensorsContent {
  const allowed = { ...DEFAULT_LIMITS, ...limits };
  const dataStart = 8 + headerLength(bytes, allowed);
  const data = bytes.subarray(dataStart);
  if (data.length > allowed.dataMaxBytes)
    throw corrupt(`${data.length} bytes of tensors, ${allowed.dataMaxBytes} are allowed`);
  const header = parseHeader(bytes.subarray(8, dataStart));
  const metadata = metadataFrom(header[METADATA_KEY]);
  const entries = Object.entries(header)
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, info]) => entryFrom(name, info, allowed));
  checkLayout(entries, data.length);
  return {
    tensors: Object.fromEntries(entries.map((entry) => [entry.name, tensorFrom(entry, data)])),
    metadata,
  };
}

function headerLength(bytes: Uint8Array, limits: SafetensorsLimits): number {
  if (bytes.length < 8) throw corrupt(`${bytes.length} bytes, the length of the header alone needs 8`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(limits.headerMaxBytes))
    throw corrupt(`a header of ${length} bytes, ${limits.headerMaxBytes} are allowed`);
  if (length > BigInt(bytes.length - 8))
    throw corrupt(`a header of ${length} bytes in a file of ${bytes.length}`);
  return Number(length);
}

function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw corrupt("the header is not UTF-8", error);
  }
  if (!text.startsWith("{")) throw corrupt("the header does not begin with {");
  if (!/\} *$/.test(text.slice(-16))) throw corrupt("the header does not end with } and at most 15 spaces");
  return recordFrom(parseStrictJson(text), "the header");
}

function metadataFrom(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  const entries = Object.entries(recordFrom(value, METADATA_KEY));
  const wrong = entries.find(([, text]) => typeof text !== "string");
  if (wrong) throw corrupt(`${METADATA_KEY} ${quote(wrong[0])} is not a string`);
  return Object.fromEntries(entries) as Record<string, string>;
}

function entryFrom(name: string, value: unknown, limits: SafetensorsLimits): Entry {
  const problem = nameProblem(name);
  if (problem) throw corrupt(`tensor name ${problem}: ${quote(name)}`);
  const where = `tensor ${quote(name)}`;
  const info = recordFrom(value, where);
  if (Object.keys(info).sort().join() !== INFO_KEYS)
    throw corrupt(`${where} needs exactly dtype, shape and data_offsets`);
  const dtype = DTYPE_OF.get(info.dtype);
  if (!dtype)
    throw corrupt(`${where} has dtype ${quote(String(info.dtype))}; known: ${[...DTYPE_OF.keys()]}`);
  const shape = naturals(info.shape, `${where} shape`);
  if (shape.length > limits.rankMax)
    throw corrupt(`${where} has ${shape.length} dimensions, ${limits.rankMax} are allowed`);
  const [begin, end, ...rest] = naturals(info.data_offsets, `${where} data_offsets`);
  if (begin === undefined || end === undefined || rest.length > 0 || end < begin)
    throw corrupt(`${where} needs data_offsets [begin, end]`);
  if (byteSize(shape, dtype) !== end - begin)
    throw corrupt(`${where} of ${dtype}[${shape}] does not fill the ${end - begin} bytes it is given`);
  return { name, dtype, shape, begin, end };
}

/** Bytes of a tensor; NaN where they cannot be counted exactly, zero-sized dimensions included. */
function byteSize(shape: readonly number[], dtype: DType): number {
  const widest = sizeOf(shape.filter((size) => size > 0)) * BYTES_OF[dtype];
  if (!Number.isSafeInteger(widest)) return Number.NaN;
  return shape.includes(0) ? 0 : widest;
}

/** Every byte of the data belongs to exactly one tensor. */
function checkLayout(entries: readonly Entry[], dataLength: number): void {
  const inOrder = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of inOrder) {
    if (begin !== at) throw corrupt(`tensor ${quote(name)} begins at ${begin}, the one before ends at ${at}`);
    at = end;
  }
  if (at !== dataLength) throw corrupt(`the tensors end at ${at}, the data at ${dataLength}`);
}

function tensorFrom({ name, dtype, shape, begin, end }: Entry, data: Uint8Array): Tensor {
  // Not slice(): that of a Node Buffer shares the memory of the whole file.
  const bytes = Uint8Array.from(data.subarray(begin, end));
  if (dtype === "bool" && bytes.some((value) => value > 1))
    throw corrupt(`tensor ${quote(name)} holds a bool that is neither 0 nor 1`);
  return { shape, dtype, data: viewOf(dtype, bytes) };
}

/** `bytes` is a copy of its own, so its buffer is aligned. Hosts are little-endian, as every JavaScript engine's are. */
function viewOf(dtype: DType, bytes: Uint8Array): TensorData {
  switch (dtype) {
    case "float32":
      return new Float32Array(bytes.buffer);
    case "int32":
      return new Int32Array(bytes.buffer);
    case "uint32":
      return new Uint32Array(bytes.buffer);
    case "bool":
      return bytes;
  }
}

function naturals(value: unknown, where: string): number[] {
  if (!Array.isArray(value) || !value.every((item) => Number.isSafeInteger(item) && item >= 0))
    throw corrupt(`${where} is not a list of whole numbers`);
  return value as number[];
}

function recordFrom(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw corrupt(`${where} is not an object`);
  return value as Record<string, unknown>;
}

/** Why a name cannot be a tensor's, or undefined. `__proto__` would vanish when a record is copied by assignment. */
function nameProblem(name: string): string | undefined {
  if (name.length === 0) return "is empty";
  if (name.length > NAME_MAX_CHARS) return `is longer than ${NAME_MAX_CHARS}`;
  if (name === METADATA_KEY || name === "__proto__") return "is reserved";
  if (/[\p{Cc}\p{Cs}]/u.test(name)) return "has a control character or half a surrogate pair";
  return undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function corrupt(what: string, cause?: unknown): KasminaError {
  return new KasminaError("corrupt", `safetensors: ${what}`, { cause });
}
