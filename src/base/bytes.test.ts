import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, toBase64, toHex } from "./bytes.js";

test("hex and base64 are Node's, also over many parts", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10_000, size: "max" }), (bytes) => {
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      expect(fromHex(toHex(bytes))).toEqual(bytes);
    }),
  );
});
