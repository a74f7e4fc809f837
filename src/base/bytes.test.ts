import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, portableBase64, toBase64, toHex } from "./bytes.js";

test("hex and base64 are Node's, also over many parts", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10_000, size: "max" }), (bytes) => {
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      expect(portableBase64(bytes)).toBe(toBase64(bytes));
      // A view into the middle of a buffer is read as itself.
      expect(toBase64(bytes.subarray(1))).toBe(portableBase64(bytes.subarray(1)));
      expect(fromHex(toHex(bytes))).toEqual(bytes);
    }),
  );
});
