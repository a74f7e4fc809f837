import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, ManualClock, toHex, u32be, utf8 } from "../base/index.js";
import { CommandSigner } from "./command-signer.js";
import { buildCommand, type CommandDraft, type Order } from "./commands.js";
import { COMMAND_CONTEXT, decodeEnvelope, signatureProblem, signEnvelope, signingInput } from "./envelope.js";
import { AdaptationCommandSchema } from "./gen/kasmina/v1/command_pb.js";
import { SignedEnvelopeSchema } from "./gen/kasmina/v1/envelope_pb.js";
import { nodeMac } from "./key-crypto.node.js";
import { KeyRing } from "./key-ring.js";
import { equalMacs, portableMac } from "./mac.js";
import { readCommand } from "./read-command.js";
import { STREAMS } from "./streams.js";

const SECRET = new Uint8Array(32).fill(9);
const keys = new KeyRing([{ id: "k1", secret: SECRET }]);

/** RFC 4231, test cases 1 to 4, 6 and 7. */
const VECTORS: readonly [Uint8Array, Uint8Array, string][] = [
  [
    new Uint8Array(20).fill(0x0b),
    utf8("Hi There"),
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    utf8("Jefe"),
    utf8("what do ya want for nothing?"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    new Uint8Array(20).fill(0xaa),
    new Uint8Array(50).fill(0xdd),
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
  ],
  [
    Uint8Array.from({ length: 25 }, (_, i) => i + 1),
    new Uint8Array(50).fill(0xcd),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
  ],
  [
    new Uint8Array(131).fill(0xaa),
    utf8("Test Using Larger Than Block-Size Key - Hash Key First"),
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
];

describe("HMAC-SHA-256", () => {
  test.each(VECTORS)("RFC 4231 (%#)", (secret, data, expected) => {
    expect(toHex(portableMac(secret)(data))).toBe(expected);
    expect(toHex(nodeMac(secret)(data))).toBe(expected);
  });

  test("comparison says whether all bytes are the same", () => {
    expect(equalMacs(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equalMacs(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equalMacs(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  });
});

describe("signed envelope", () => {
  test("signs context, key id and payload, each with its length", () => {
    const input = signingInput(COMMAND_CONTEXT, "k1", Uint8Array.of(5, 6));
    const expected = concatBytes(
      utf8("kasmina.command.v1\0"),
      u32be(2),
      utf8("k1"),
      u32be(2),
      Uint8Array.of(5, 6),
    );
    expect(input).toEqual(expected);
  });

  test("a signature for one stream does not serve another", () => {
    const envelope = decodeEnvelope(signEnvelope(keys, STREAMS.kernelReady.context, Uint8Array.of(1)));
    expect(envelope && signatureProblem(keys, STREAMS.kernelReady.context, envelope)).toBeUndefined();
    expect(envelope && signatureProblem(keys, COMMAND_CONTEXT, envelope)).toBe("invalid_signature");
  });

  test("a rotated ring signs with the new key and still verifies the old one's", () => {
    const old = signEnvelope(keys, COMMAND_CONTEXT, Uint8Array.of(1));
    const rotated = new KeyRing([
      { id: "k2", secret: new Uint8Array(32).fill(3) },
      { id: "k1", secret: SECRET },
    ]);
    const fresh = decodeEnvelope(signEnvelope(rotated, COMMAND_CONTEXT, Uint8Array.of(1)));
    const before = decodeEnvelope(old);
    expect(fresh?.keyId).toBe("k2");
    expect(before && signatureProblem(rotated, COMMAND_CONTEXT, before)).toBeUndefined();
    expect(fresh && signatureProblem(keys, COMMAND_CONTEXT, fresh)).toBe("invalid_signature");
  });

  test("reads by hand what protobuf-es reads by reflection", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme" }),
        fc.uint8Array(),
        fc.uint8Array(),
        (keyId, payload, signature) => {
          const bytes = toBinary(
            SignedEnvelopeSchema,
            create(SignedEnvelopeSchema, {
              version: 1,
              keyId,
              payload: Uint8Array.from(payload),
              signature: Uint8Array.from(signature),
            }),
          );
          const { $typeName: _, ...expected } = fromBinary(SignedEnvelopeSchema, bytes);
          expect(decodeEnvelope(bytes)).toEqual(expected);
        },
      ),
    );
  });

  test.each([
    [[], "at least one key"],
    [[{ id: "k 1", secret: SECRET }], "key id"],
    [[{ id: "k1", secret: new Uint8Array(31) }], "needs at least 32"],
    [
      [
        { id: "k1", secret: SECRET },
        { id: "k1", secret: SECRET },
      ],
      "share an id",
    ],
  ])("a ring refuses bad keys (%#)", (bad, message) => {
    expect(() => new KeyRing(bad)).toThrow(message);
  });

  test("a ring shows no secret", () => {
    expect(JSON.stringify(keys) + Object.values(keys).join()).not.toContain("9,9,9");
    expect(JSON.stringify(keys)).toBe('{"activeId":"k1"}');
  });
});

const number = fc.double({ noNaN: true });
const name = fc.string({ minLength: 1 }).filter((one) => one !== "__proto__");
const orders: fc.Arbitrary<Order> = fc.oneof(
  fc.record({
    kind: fc.constant("SEED" as const),
    operation: fc.constantFrom("GERMINATE" as const, "CULL" as const, "ADJUST_BLEND" as const),
    blueprintId: fc.string(),
    parameters: fc.dictionary(name, number, { maxKeys: 3, noNullPrototype: true }),
    artifactSha256: fc.string(),
  }),
  fc.record({ kind: fc.constant("OPTIMIZER" as const), learningRate: number, momentum: number }),
  fc.record({
    kind: fc.constant("CIRCUIT_BREAKER" as const),
    breaker: fc.constantFrom("fetch" as const, "isolation" as const),
    action: fc.constantFrom("open" as const, "close" as const),
  }),
  fc.record({ kind: fc.constant("PAUSE" as const), resume: fc.boolean() }),
  fc.record({
    kind: fc.constant("EMERGENCY" as const),
    level: fc.constantFrom(
      "PAUSE_GROWTH" as const,
      "FREEZE_SEEDS" as const,
      "HALT" as const,
      "CLEAR" as const,
    ),
    reason: fc.string({ unit: "grapheme" }),
  }),
  fc.record({
    kind: fc.constant("RESET" as const),
    scope: fc.constantFrom("registry" as const, "teacher" as const),
  }),
  fc.record({
    kind: fc.constant("ROLLBACK" as const),
    source: fc.constantFrom("memory" as const, "checkpoint" as const),
    reason: fc.string(),
  }),
);
const drafts: fc.Arbitrary<CommandDraft> = fc.record(
  {
    commandId: fc.string({ unit: "grapheme" }),
    trainingRunId: fc.string(),
    issuedBy: fc.string(),
    order: orders,
    seedId: fc.string(),
    slotId: fc.string(),
    expectedStage: fc.constantFrom("TRAINING" as const, "TERMINATED" as const),
    expiresAfterMs: fc.nat(),
    decision: fc.record({ policyVersion: fc.string(), riskReason: fc.string(), featureCoverage: number }),
  },
  { requiredKeys: ["commandId", "trainingRunId", "issuedBy", "order"] },
);

test("a command is read off the wire as protobuf-es reads it", () => {
  const times = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_000 });
  fc.assert(
    fc.property(drafts, times, fc.uint8Array({ minLength: 16, maxLength: 16 }), (draft, atMs, nonce) => {
      const bytes = toBinary(AdaptationCommandSchema, buildCommand(draft, atMs, nonce));
      const read = readCommand(bytes);
      expect(toBinary(AdaptationCommandSchema, create(AdaptationCommandSchema, read))).toEqual(bytes);
      const expected = fromBinary(AdaptationCommandSchema, bytes);
      expect({ ...read }).toEqual({ issuedAt: undefined, decision: undefined, ...expected });
    }),
    { numRuns: 500 },
  );
});

test("a signer dates each command and gives it a nonce of its own", () => {
  const clock = new ManualClock(1_700_000_000_123.5);
  const signer = new CommandSigner({ keys, clock });
  const draft: CommandDraft = {
    commandId: "c",
    trainingRunId: "r",
    issuedBy: "me",
    order: { kind: "PAUSE", resume: true },
  };
  const [a, b] = [signer.sign(draft), signer.sign(draft)].map((bytes) =>
    readCommand(decodeEnvelope(bytes)?.payload ?? new Uint8Array()),
  );
  expect(a?.issuedAt).toMatchObject({ seconds: 1_700_000_000n, nanos: 123_500_000 });
  expect(a?.nonce).toHaveLength(16);
  expect(a?.nonce).not.toEqual(b?.nonce);
});
