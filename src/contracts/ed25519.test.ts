import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../base/bytes.js";
import { type Ed25519, portableEd25519 } from "./ed25519.js";
import { nodeEd25519 } from "./key-crypto.node.js";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));
const BOTH: readonly Ed25519[] = [portableEd25519, nodeEd25519];

/** RFC 8032, section 7.1: seed, public key, message, signature. */
const VECTORS = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
] as const;

test.each(VECTORS)("signs as RFC 8032 does: %s", (seed, publicKey, message, signature) => {
  for (const one of BOTH) {
    expect(toHex(one.publicKey(hex(seed)))).toBe(publicKey);
    expect(toHex(one.signer(hex(seed))(hex(message)))).toBe(signature);
    expect(one.verifier(hex(publicKey))(hex(message), hex(signature))).toBe(true);
  }
});

test("what one signs the other verifies, and nothing that was touched", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(
    fc.property(bytes(32), fc.uint8Array({ maxLength: 300 }), fc.nat(63), (seed, message, at) => {
      for (const [signs, verifies] of [
        [portableEd25519, nodeEd25519],
        [nodeEd25519, portableEd25519],
      ] as const) {
        const signature = Uint8Array.from(signs.signer(seed)(message));
        const verify = verifies.verifier(signs.publicKey(seed));
        expect(verify(message, signature)).toBe(true);
        signature[at] = (signature[at] ?? 0) ^ 1;
        expect(verify(message, signature)).toBe(false);
      }
    }),
    { numRuns: 20 },
  );
});
