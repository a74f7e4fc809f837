import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, utf8 } from "../base/bytes.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";
import { type DType, float32, int32, scalar, sizeOf, type Tensor, type Tensors } from "./tensor.js";

/** A file with any header and data, well-formed or not. */
function fileOf(header: unknown, data = 0, headerLength?: bigint): Uint8Array {
  const json = utf8(typeof header === "string" ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, headerLength ?? BigInt(json.length), true);
  return concatBytes(length, json, new Uint8Array(data));
}

const info = (begin: number, end: number, shape: unknown = [(end - begin) / 4], dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

const small: Tensors = {
  "seed/up/w": float32([2, 3], [1, -2, 3.5, 0, Number.NaN, Number.POSITIVE_INFINITY]),
  step: int32([], [7]),
  mask: { shape: [3], dtype: "bool", data: Uint8Array.of(1, 0, 1) },
  none: float32([0, 4]),
};

const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    dtype: fc.constantFrom<DType>("float32", "int32", "uint32", "bool"),
    shape: fc.array(fc.nat(3), { maxLength: 4 }),
    seed: fc.nat(255),
  })
  .map(({ dtype, shape, seed }) => {
    const values = Array.from({ length: sizeOf(shape) }, (_, i) => (seed + i * 37) % 251);
    if (dtype === "bool") return { dtype, shape, data: Uint8Array.from(values, (value) => value % 2) };
    const array = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array }[dtype];
    return { dtype, shape, data: array.from(values) };
  });
const anyName = fc
  .string({ unit: "grapheme-composite", minLength: 1, maxLength: 20 })
  .filter((name) => !/\p{Cc}/u.test(name) && name !== "__proto__");

describe("safetensors", () => {
  test("what is written is read back, tensors, order and metadata", () => {
    fc.assert(
      fc.property(
        fc.dictionary(anyName, anyTensor, { maxKeys: 6 }),
        fc.dictionary(anyName, fc.string({ unit: "binary" }).filter(isWellFormed), { maxKeys: 3 }),
        (tensors, metadata) => {
          const read = decodeSafetensors(encodeSafetensors(tensors, metadata));
          expect(Object.entries(read.tensors)).toEqual(Object.entries(tensors));
          expect(read.metadata).toEqual({ ...metadata });
        },
      ),
    );
  });

  test("the layout is the reference's: little-endian length, padded header, offsets from the end of the header", () => {
    const file = encodeSafetensors({ a: scalar(1) }, { made: "here" });
    const length = file[0] ?? 0;
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(file.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"__metadata__":{"made":"here"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
    );
    expect([...file.subarray(8 + length)]).toEqual([0, 0, 0x80, 0x3f]);
  });

  test("a file the reference writer made (sorted, spaces as padding, other order of fields) is read", () => {
    const file = fileOf(
      '{"b":{"shape":[1],"dtype":"I32","data_offsets":[4,8]},"a":{"data_offsets":[0,4],"dtype":"F32","shape":[1,1]}}   ',
      8,
    );
    expect(decodeSafetensors(file).tensors).toEqual({ b: int32([1], [0]), a: float32([1, 1]) });
  });

  test("the tensors are copies: changing them, or the file, changes nothing else", () => {
    const file = encodeSafetensors(small);
    const before = file.slice();
    const first = decodeSafetensors(file);
    first.tensors["seed/up/w"]?.data.fill(9);
    expect(file).toEqual(before);
    file.fill(0);
    expect(first.tensors.step?.data[0]).toBe(7);
  });

  test("a Node Buffer is read like any bytes", () => {
    const file = Buffer.from(encodeSafetensors({ a: float32([2], [1, 2]), b: float32([2], [3, 4]) }));
    const { tensors } = decodeSafetensors(file);
    file.fill(0);
    expect(tensors.b?.data).toEqual(Float32Array.of(3, 4));
  });

  test("a view into a larger, unaligned buffer is read and written", () => {
    const file = encodeSafetensors(small);
    const shifted = concatBytes(new Uint8Array(3), file).subarray(3);
    expect(decodeSafetensors(shifted)).toEqual(decodeSafetensors(file));
    const part = new Float32Array([0, 1, 2, 3]).subarray(1, 3);
    expect(decodeSafetensors(encodeSafetensors({ a: float32([2], part) })).tensors.a?.data).toEqual(
      Float32Array.of(1, 2),
    );
  });

  test("every truncation and every extension is refused", () => {
    const file = encodeSafetensors(small, { run: "r1" });
    for (let length = 0; length < file.length; length++)
      expect(() => decodeSafetensors(file.subarray(0, length)), `cut at ${length}`).toThrow(
        /safetensors|JSON/,
      );
    for (const extra of [1, 4, 8]) {
      expect(() => decodeSafetensors(concatBytes(file, new Uint8Array(extra)))).toThrow(/the data at/);
    }
  });

  test("no change of one byte crashes the reader or breaks what it promises", () => {
    const file = encodeSafetensors({ w: float32([2], [1, 2]), m: small.mask ?? scalar(0) });
    let refused = 0;
    for (let at = 0; at < file.length; at++) {
      for (let value = 0; value < 256; value++) {
        if (value === file[at]) continue;
        const changed = file.slice();
        changed[at] = value;
        if (!survives(changed)) refused++;
      }
    }
    expect(refused).toBeGreaterThan(file.length * 150);
  });
});

/** Whether the reader takes the file; throws where it fails otherwise than `corrupt`, or reads something incoherent. */
function survives(file: Uint8Array): boolean {
  try {
    const { tensors } = decodeSafetensors(file);
    const bytes = Object.values(tensors).reduce((sum, tensor) => sum + tensor.data.byteLength, 0);
    expect(bytes).toBeLessThanOrEqual(file.length);
    for (const tensor of Object.values(tensors)) expect(tensor.data.length).toBe(sizeOf(tensor.shape));
    return true;
  } catch (error) {
    expect(error).toMatchObject({ name: "KasminaError", code: "corrupt" });
    return false;
  }
}

function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

const huge = Number.MAX_SAFE_INTEGER;

describe("the attack files are refused", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /needs 8/],
    ["a header of 2^64 − 1 bytes", fileOf({}, 0, 2n ** 64n - 1n), /are allowed/],
    ["a header over the cap", fileOf({}, 5 * 1024 * 1024, 4n * 1024n * 1024n + 1n), /are allowed/],
    ["a header past the end of the file", fileOf({}, 0, 3n), /in a file of/],
    ["an empty header", fileOf(""), /begin with/],
    ["a header with a byte order mark", fileOf("\uFEFF{}"), /begin with/],
    ["a header that begins with a space", fileOf(" {}"), /begin with/],
    ["a header padded with newlines", fileOf("{}\n"), /end with/],
    ["a header padded without end", fileOf(`{}${" ".repeat(16)}`), /end with/],
    ["a header that is a list", fileOf("[]"), /begin with/],
    ["a header that is not JSON", fileOf("{a:1}"), /not JSON/],
    ["a header with something behind it", fileOf('{"a":1}{}'), /not JSON/],
    [
      "a header that is not UTF-8",
      concatBytes(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d)),
      /UTF-8/,
    ],
    ["deep nesting", fileOf(`{"a":${"[".repeat(5000)}${"]".repeat(5000)}}`), /nested/],
    [
      "a duplicate name",
      fileOf(
        '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
        4,
      ),
      /duplicate/,
    ],
    [
      "a duplicate field",
      fileOf('{"a":{"dtype":"F32","shape":[],"shape":[1],"data_offsets":[0,4]}}', 4),
      /duplicate/,
    ],
    ["overlapping tensors", fileOf({ a: info(0, 8), b: info(4, 12) }, 12), /begins at/],
    ["two names for the same bytes", fileOf({ a: info(0, 4), b: info(0, 4) }, 4), /begins at/],
    ["a hole before", fileOf({ a: info(4, 8) }, 8), /begins at/],
    ["a hole between", fileOf({ a: info(0, 4), b: info(8, 12) }, 12), /begins at/],
    ["bytes behind", fileOf({ a: info(0, 4) }, 8), /the data at 8/],
    ["bytes with no tensor", fileOf({}, 1), /the data at 1/],
    ["offsets past the end", fileOf({ a: info(0, 8) }, 4), /the data at 4/],
    ["an empty tensor out of place", fileOf({ a: info(0, 4), b: info(2, 2, [0]) }, 4), /begins at/],
    ["offsets in reverse", fileOf({ a: { ...info(0, 4), data_offsets: [4, 0] } }, 4), /begin, end/],
    ["one offset", fileOf({ a: { ...info(0, 4), data_offsets: [0] } }, 4), /begin, end/],
    ["three offsets", fileOf({ a: { ...info(0, 4), data_offsets: [0, 4, 8] } }, 4), /begin, end/],
    ["a negative offset", fileOf({ a: { ...info(0, 4), data_offsets: [-4, 0] } }, 4), /whole numbers/],
    [
      "an offset that is not whole",
      fileOf({ a: { ...info(0, 4), data_offsets: [0, 4.5] } }, 4),
      /whole numbers/,
    ],
    [
      "an offset past 2^53",
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9007199254740993]}}', 4),
      /whole numbers/,
    ],
    [
      "an offset that is infinite",
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}', 4),
      /whole numbers/,
    ],
    ["offsets that are text", fileOf({ a: { ...info(0, 4), data_offsets: ["0", "4"] } }, 4), /whole numbers/],
    ["a shape that does not fit", fileOf({ a: info(0, 8, [3]) }, 8), /does not fill/],
    ["a shape whose product overflows", fileOf({ a: info(0, 4, [huge, huge]) }, 4), /does not fill/],
    ["a shape that overflows behind a zero", fileOf({ a: info(0, 0, [0, huge, huge]) }), /does not fill/],
    ["a negative size", fileOf({ a: info(0, 4, [-1, -1]) }, 4), /whole numbers/],
    ["a size that is not whole", fileOf({ a: info(0, 4, [0.5, 2]) }, 4), /whole numbers/],
    ["no shape", fileOf({ a: { dtype: "F32", data_offsets: [0, 4] } }, 4), /exactly/],
    ["nine dimensions", fileOf({ a: info(0, 4, [1, 1, 1, 1, 1, 1, 1, 1, 1]) }, 4), /dimensions/],
    ["a dtype we do not compute in", fileOf({ a: info(0, 8, [1], "F64") }, 8), /dtype "F64"/],
    ["a dtype that is no text", fileOf({ a: info(0, 4, [1], 7) }, 4), /dtype/],
    ["a dtype of the prototype", fileOf({ a: info(0, 4, [1], "constructor") }, 4), /dtype/],
    ["an unknown field", fileOf({ a: { ...info(0, 4), code: "" } }, 4), /exactly/],
    ["a tensor that is no object", fileOf({ a: [0, 4] }, 4), /exactly|not an object/],
    ["metadata that is no object", fileOf({ __metadata__: "x" }), /not an object/],
    ["metadata that is no text", fileOf({ __metadata__: { a: 1 } }), /not a string/],
    ["an empty name", fileOf({ "": info(0, 4) }, 4), /is empty/],
    [
      "a name for the prototype",
      fileOf('{"__proto__":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4),
      /__proto__/,
    ],
    ["a name with a control character", fileOf({ "a\u0000b": info(0, 4) }, 4), /control/],
    [
      "a name with half a surrogate pair",
      fileOf('{"\\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4),
      /surrogate/,
    ],
    ["a name without end", fileOf({ ["n".repeat(513)]: info(0, 4) }, 4), /longer/],
  ])("%s", (_name, file, message) => {
    expect(() => decodeSafetensors(file)).toThrow(message);
    expect(survives(file)).toBe(false);
  });

  test("a bool that is neither 0 nor 1", () => {
    const file = fileOf({ a: info(0, 1, [1], "BOOL") }, 1);
    file[file.length - 1] = 2;
    expect(() => decodeSafetensors(file)).toThrow(/neither 0 nor 1/);
  });

  test("the caps are the caller's to lower", () => {
    const file = encodeSafetensors({ a: float32([2, 2]) });
    expect(() => decodeSafetensors(file, { headerMaxBytes: 8 })).toThrow(/8 are allowed/);
    expect(() => decodeSafetensors(file, { dataMaxBytes: 15 })).toThrow(/15 are allowed/);
    expect(() => decodeSafetensors(file, { rankMax: 1 })).toThrow(/dimensions/);
    expect(decodeSafetensors(file, { dataMaxBytes: 16 }).tensors.a?.shape).toEqual([2, 2]);
  });

  test.each([
    "",
    "__metadata__",
    "__proto__",
    "a\nb",
    "\ud800",
    "n".repeat(513),
  ])("the writer does not write a name that the reader refuses: %j", (name) => {
    expect(() => encodeSafetensors(Object.fromEntries([[name, scalar(1)]]))).toThrow(/tensor name/);
  });

  test("the writer refuses a tensor whose data is not what its shape says", () => {
    expect(() =>
      encodeSafetensors({ a: { shape: [3], dtype: "float32", data: new Float32Array(2) } }),
    ).toThrow(/needs 3 elements/);
  });
});
