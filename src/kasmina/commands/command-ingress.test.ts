import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test, vi } from "vitest";
import { concatBytes, u32be, utf8 } from "../../base/index.js";
import { buildCommand, type CommandDraft, type Order } from "../../contracts/commands.js";
import { COMMAND_CONTEXT, decodeEnvelope, signEnvelope } from "../../contracts/envelope.js";
import { AdaptationCommandSchema } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { SignedEnvelopeSchema } from "../../contracts/gen/kasmina/v1/envelope_pb.js";
import { KeyRing } from "../../contracts/key-ring.js";
import type { KernelRequest } from "../../contracts/ports.js";
import { STREAMS } from "../../contracts/streams.js";
import { ControlRun, countingNonces, kernelFor, RUN_ID, ring } from "../control-run.fixture.js";
import { REJECTION_REASONS, type RejectionReason } from "../security/verifier.js";

const DRAFT: CommandDraft = {
  commandId: "c1",
  trainingRunId: RUN_ID,
  issuedBy: "test",
  order: { kind: "OPTIMIZER", learningRate: 0.1 },
};
const NONCE = new Uint8Array(16).fill(1);
const SECRET = new Uint8Array(32).fill(5);

interface Changes {
  readonly draft?: Partial<CommandDraft>;
  readonly ageMs?: number;
  readonly nonce?: Uint8Array;
  readonly message?: Partial<ReturnType<typeof buildCommand>>;
}

/** A signed envelope over a command that is sound but for the changes. */
function signed(run: ControlRun, { draft, ageMs = 0, nonce = NONCE, message }: Changes = {}): Uint8Array {
  const command = buildCommand({ ...DRAFT, ...draft }, run.clock.nowMs() - ageMs, nonce);
  const payload = toBinary(AdaptationCommandSchema, { ...command, ...message });
  return signEnvelope(run.keys, COMMAND_CONTEXT, payload);
}

/** The sound envelope with other outer fields. */
function resealed(
  run: ControlRun,
  fields: { keyId?: string; signature?: Uint8Array; version?: number },
): Uint8Array {
  const sound = decodeEnvelope(signed(run));
  return toBinary(
    SignedEnvelopeSchema,
    create(SignedEnvelopeSchema, {
      version: 1,
      keyId: sound?.keyId ?? "",
      payload: Uint8Array.from(sound?.payload ?? []),
      signature: Uint8Array.from(sound?.signature ?? []),
      ...(fields as object),
    }),
  );
}

const LONG = "é".repeat(65);
const CASES: readonly [RejectionReason, string, (run: ControlRun) => Uint8Array][] = [
  ["missing_signature", "an empty envelope", () => new Uint8Array()],
  ["missing_signature", "no signature", (run) => resealed(run, { signature: new Uint8Array() })],
  ["invalid_signature", "an unknown key", (run) => resealed(run, { keyId: "k9" })],
  ["invalid_signature", "a key id that is no ASCII", (run) => resealed(run, { keyId: "kéy☃" })],
  ["invalid_signature", "a short signature", (run) => resealed(run, { signature: new Uint8Array(31) })],
  ["invalid_signature", "a long signature", (run) => resealed(run, { signature: new Uint8Array(33) })],
  ["invalid_signature", "a wrong signature", (run) => resealed(run, { signature: new Uint8Array(32) })],
  ["invalid_signature", "a signature as text", (run) => resealed(run, { signature: utf8("ü".repeat(16)) })],
  [
    "invalid_signature",
    "another key of the same id",
    (run) =>
      signEnvelope(
        ring("k1", new Uint8Array(32).fill(8)),
        COMMAND_CONTEXT,
        decodeEnvelope(signed(run))?.payload ?? NONCE,
      ),
  ],
  [
    "invalid_signature",
    "another stream's signature",
    (run) =>
      signEnvelope(run.keys, STREAMS.kernelReady.context, decodeEnvelope(signed(run))?.payload ?? NONCE),
  ],
  ["malformed_command", "bytes that are no envelope", () => new Uint8Array(40).fill(255)],
  ["malformed_command", "over 64 KiB", () => new Uint8Array(65_537)],
  ["malformed_command", "another version of the envelope", (run) => resealed(run, { version: 2 })],
  [
    "malformed_command",
    "a signed payload that is no command",
    (run) => signEnvelope(run.keys, COMMAND_CONTEXT, concatBytes(u32be(0xffffffff), utf8("?"))),
  ],
  [
    "malformed_command",
    "a truncated command",
    (run) => {
      const payload = decodeEnvelope(signed(run))?.payload ?? NONCE;
      return signEnvelope(run.keys, COMMAND_CONTEXT, payload.slice(0, -3));
    },
  ],
  ["malformed_command", "another version of the command", (run) => signed(run, { message: { version: 2 } })],
  ["malformed_command", "a nonce of 15 bytes", (run) => signed(run, { nonce: new Uint8Array(15) })],
  ["missing_timestamp", "no issued_at", (run) => signed(run, { message: { issuedAt: undefined } })],
  ["stale_command", "issued 60,001 ms ago", (run) => signed(run, { ageMs: 60_001 })],
  [
    "stale_command",
    "past its own expiry",
    (run) => signed(run, { ageMs: 11, draft: { expiresAfterMs: 10 } }),
  ],
  ["issued_in_future", "issued 5,001 ms ahead", (run) => signed(run, { ageMs: -5_001 })],
  ["wrong_run", "another run", (run) => signed(run, { draft: { trainingRunId: "run-2" } })],
  ["wrong_run", "no run", (run) => signed(run, { draft: { trainingRunId: "" } })],
  ["wrong_incarnation", "another life", (run) => signed(run, { draft: { incarnation: "another" } })],
  ["missing_command_id", "a blank id", (run) => signed(run, { draft: { commandId: " \t" } })],
  ["missing_command_id", "an id of 130 bytes", (run) => signed(run, { draft: { commandId: LONG } })],
];

describe("every rejection", () => {
  test.each(CASES)("%s: %s", (reason, _, envelope) => {
    const run = new ControlRun();
    const outcome = run.handle(run.deliver(envelope(run), "entry-x"));
    expect(outcome).toMatchObject({ status: "refused", reason });
    expect(run.acknowledged).toEqual([outcome]);
    const [packet] = run.packets;
    expect(run.packets).toHaveLength(1);
    expect(packet).toMatchObject({ level: "CRITICAL", priority: "CRITICAL", route: "emergency" });
    expect(packet?.events[0]).toMatchObject({
      name: "command_rejected",
      level: "CRITICAL",
      attributes: { reason, bus_entry: "entry-x", command_id: outcome.commandId ?? "" },
    });
    expect(run.kasmina.telemetry.total("kasmina.command_verifier.rejections_total", { reason })).toBe(1);
    expect(run.kasmina.telemetry.total("kasmina.command_verifier.accepted_total")).toBe(0);
    expect(run.handle(run.deliver(signed(run)))).toMatchObject({ status: "applied" });
  });

  test("nonce_replayed: the same nonce in another bus entry, whatever else is new", () => {
    const run = new ControlRun();
    expect(run.handle(run.deliver(signed(run), "a")).status).toBe("applied");
    run.clock.advance(10);
    const again = signed(run, { draft: { commandId: "c2" } });
    expect(run.handle(run.deliver(again, "b"))).toMatchObject({
      status: "refused",
      reason: "nonce_replayed",
      commandId: "c2",
    });
  });

  /** Commands of each kind. */
  const ORDERS: readonly Order[] = [
    { kind: "SEED", operation: "CULL" },
    { kind: "ROLLBACK", source: "memory", reason: "test" },
    { kind: "OPTIMIZER", learningRate: 0.1 },
    { kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "open" },
    { kind: "PAUSE", resume: false },
    { kind: "EMERGENCY", level: "HALT", reason: "test" },
    { kind: "RESET", scope: "registry" },
  ];

  test.each([
    ["operator", ["SEED", "ROLLBACK", "OPTIMIZER", "CIRCUIT_BREAKER", "PAUSE", "EMERGENCY", "RESET"]],
    ["policy", ["SEED"]],
    ["safety", ["EMERGENCY"]],
    ["kernel", []],
    ["trainer", []],
  ] as const)("not_granted: what a key of role %s is not for", (role, granted) => {
    const run = new ControlRun({ keys: new KeyRing([{ id: "k1", secret: SECRET, role }]) });
    for (const [i, order] of ORDERS.entries()) {
      const draft = { order, commandId: `c${i}`, seedId: "seed-1", slotId: "block1" };
      const outcome = run.handle(run.deliver(signed(run, { draft, nonce: new Uint8Array(16).fill(i + 1) })));
      const isGranted = (granted as readonly string[]).includes(order.kind);
      expect([order.kind, outcome.reason === "not_granted"]).toEqual([order.kind, !isGranted]);
    }
    expect(run.kasmina.telemetry.total("kasmina.command_verifier.accepted_total")).toBe(granted.length);
  });

  test("not_granted: a halt that says it is a seed command is no halt", () => {
    const run = new ControlRun({ keys: new KeyRing([{ id: "k1", secret: SECRET, role: "policy" }]) });
    const draft: Partial<CommandDraft> = { order: { kind: "EMERGENCY", level: "HALT", reason: "test" } };
    const outcome = run.handle(run.deliver(signed(run, { draft, message: { commandType: 1 } })));
    expect(outcome.status).toBe("refused");
    expect(run.kasmina.emergency).toBeUndefined();
  });

  test("wrong_issuer: a key speaks for its issuer alone", () => {
    const run = new ControlRun({ keys: new KeyRing([{ id: "k1", secret: SECRET, issuer: "tamiyo" }]) });
    expect(run.handle(run.deliver(signed(run)))).toMatchObject({ reason: "wrong_issuer" });
    expect(run.handle(run.deliver(signed(run, { draft: { issuedBy: "tamiyo" } })))).toMatchObject({
      status: "applied",
    });
  });

  test("the table covers every reason but those of nonces and keys", () => {
    const others = ["nonce_replayed", "quota_exceeded", "not_granted", "wrong_issuer"] as const;
    expect(new Set([...CASES.map(([reason]) => reason), ...others])).toEqual(new Set(REJECTION_REASONS));
  });

  test("the limits themselves are let in", () => {
    const run = new ControlRun();
    const edges: Changes[] = [{ ageMs: 60_000 }, { ageMs: -5_000 }, { draft: { commandId: "é".repeat(64) } }];
    for (const [at, edge] of edges.entries()) {
      const nonce = new Uint8Array(16).fill(10 + at);
      const draft = { commandId: `c${at}`, ...edge.draft };
      expect(run.handle(run.deliver(signed(run, { ...edge, draft, nonce }))).status).toBe("applied");
    }
  });

  test("the first check that fails names the reason, and only full success burns the nonce", () => {
    const run = new ControlRun();
    const bad: Changes = { ageMs: 60_001, draft: { trainingRunId: "run-2", commandId: "" } };
    const order = [bad, { ...bad, ageMs: 0 }, { draft: { commandId: "" } }, {}];
    const reasons = order.map((changes) => run.handle(run.deliver(signed(run, changes))).reason);
    expect(reasons).toEqual(["stale_command", "wrong_run", "missing_command_id", ""]);
  });
});

describe("redelivery", () => {
  test("the same bus entry is answered from the journal, with the first outcome, however late", () => {
    const run = new ControlRun();
    const delivery = run.deliver(signed(run), "a");
    const first = run.handle(delivery);
    run.clock.advance(10_000_000);
    const second = run.handle(delivery);
    expect(second).toEqual({ ...first, status: "duplicate" });
    expect(run.kasmina.planned).toHaveLength(1);
    run.kasmina.flushTelemetry({ step: 0, epoch: 0 });
    expect(run.events).toContainEqual(expect.objectContaining({ name: "command_duplicate", level: "INFO" }));
  });

  test("a command signed anew under its old id is done once; another order under that id is another command", () => {
    const run = new ControlRun();
    run.handle(run.deliver(signed(run), "a"));
    run.clock.advance(500);
    const anew = signed(run, { nonce: new Uint8Array(16).fill(2) });
    expect(run.handle(run.deliver(anew, "b"))).toMatchObject({ status: "duplicate", commandId: "c1" });
    const other = signed(run, {
      nonce: new Uint8Array(16).fill(3),
      draft: { order: { kind: "OPTIMIZER", learningRate: 0.2 } },
    });
    expect(run.handle(run.deliver(other, "c"))).toMatchObject({ status: "applied" });
    expect(run.kasmina.planned).toHaveLength(2);
  });

  test.each([
    ["applied", { order: { kind: "OPTIMIZER", learningRate: 0.1 } }],
    ["refused", { order: { kind: "SEED", operation: "CULL" }, seedId: "nobody" }],
  ] as const)("a repeat of an order that was %s is a duplicate when it is delivered again too, and a replay of it is not", (first, draft) => {
    const run = new ControlRun();
    expect(run.handle(run.deliver(signed(run, { draft }), "a")).status).toBe(first);
    const anew = signed(run, { draft, nonce: new Uint8Array(16).fill(2) });
    for (let delivery = 1; delivery <= 3; delivery++)
      expect(run.handle(run.deliver(anew, "b"))).toMatchObject({ status: "duplicate", commandId: "c1" });
    expect(run.handle(run.deliver(anew, "c"))).toMatchObject({ status: "refused", reason: "nonce_replayed" });
  });

  test("another command under a bus entry that was used before is a command of its own", () => {
    const run = new ControlRun();
    run.handle(run.deliver(signed(run), "a"));
    const other = signed(run, { nonce: new Uint8Array(16).fill(2), draft: { commandId: "c2" } });
    expect(run.handle(run.deliver(other, "a"))).toMatchObject({ status: "applied", commandId: "c2" });
  });
});

describe("what a command leaves behind", () => {
  const refusals: readonly [string, (run: ControlRun) => { status: string; reason: string }][] = [
    ["unknown_blueprint", (run) => run.germinate("s2", "block2", "nothing-like-it")],
    ["missing_blueprint", (run) => run.germinate("s2", "block2", " ")],
    ["slot_shape", (run) => run.germinate("s2", "nowhere")],
    ["slot_shape", (run) => run.germinate("s2", "block2", "conv-residual")],
    ["seed_exists", (run) => run.germinate("s1", "block2")],
    [
      "parameter_invalid",
      (run) =>
        run.order(
          {
            kind: "SEED",
            operation: "GERMINATE",
            blueprintId: "mlp-residual",
            parameters: { hidden: Number.POSITIVE_INFINITY },
          },
          { seedId: "s2", slotId: "block2" },
        ),
    ],
    ["stage_mismatch", (run) => run.operate("START_SHADOWING")],
    ["stage_mismatch", (run) => run.operate("FOSSILIZE")],
    [
      "stage_mismatch",
      (run) =>
        run.order({ kind: "SEED", operation: "CULL" }, { seedId: "s1", expectedStage: "PROBATIONARY" }),
    ],
    [
      "stage_mismatch",
      (run) => run.order({ kind: "PAUSE", resume: false }, { seedId: "s1", expectedStage: "BLENDING" }),
    ],
    ["unknown_seed", (run) => run.operate("CULL", "s9")],
    ["not_paused", (run) => run.order({ kind: "PAUSE", resume: true }, { seedId: "s1" })],
    ["optimizer_empty", (run) => run.order({ kind: "OPTIMIZER" })],
    ["optimizer_out_of_bounds", (run) => run.order({ kind: "OPTIMIZER", learningRate: Number.NaN })],
    [
      "teacher_immutable",
      (run) => run.order({ kind: "OPTIMIZER", learningRate: 0.1 }, { seedId: "teacher" }),
    ],
    ["no_teacher", (run) => run.order({ kind: "RESET", scope: "teacher" })],
    [
      "blend_invalid",
      (run) => {
        run.evaluate();
        return run.order(
          { kind: "SEED", operation: "START_BLENDING" },
          {
            seedId: "s1",
            decision: {
              policyVersion: "1",
              riskReason: "",
              featureCoverage: 1,
              blend: { ...BLEND, mode: "CHANNEL", alphaVec: [0.5, 0.5, 0.5] },
            },
          },
        );
      },
    ],
  ];

  test.each(refusals)("%s: a refused command leaves no trace but telemetry (%#)", async (reason, act) => {
    const fetch = vi.fn((request: KernelRequest) => Promise.resolve(kernelFor(request)));
    const run = new ControlRun({ kernels: { fetch } });
    await run.grow("TRAINING");
    if (reason === "blend_invalid") run.evaluate();
    const { journalSequence: _, ...before } = run.kasmina.snapshot();
    const fetches = fetch.mock.calls.length;
    expect(act(run)).toMatchObject({ status: "refused", reason });
    const { journalSequence: __, ...after } = run.kasmina.snapshot();
    expect(after).toEqual(before);
    expect(fetch, "a kernel was asked for, which the cache would hold").toHaveBeenCalledTimes(fetches);
  });

  test("a command whose type does not fit its order is refused", () => {
    const run = new ControlRun();
    expect(run.handle(run.deliver(signed(run, { message: { commandType: 1 } })))).toMatchObject({
      reason: "unknown_command",
    });
    const empty = signed(run, {
      nonce: new Uint8Array(16).fill(2),
      message: { payload: { case: undefined } },
    });
    expect(run.handle(run.deliver(empty))).toMatchObject({ reason: "unknown_command" });
  });
});

const BLEND = {
  mode: "CONVEX" as const,
  alphaTarget: 1,
  schedule: { steps: 20, curve: "sigmoid" as const },
  alphaVec: [],
  gateK: 4,
  gateTau: 0.2,
  alphaLo: 0,
  alphaHi: 1,
  confidenceLogits: [],
};

describe("keys are rotated while commands are on their way", () => {
  test("both keys' commands are accepted until the old key leaves", () => {
    const old = { id: "k1", secret: new Uint8Array(32).fill(1) };
    const fresh = { id: "k2", secret: new Uint8Array(32).fill(2) };
    const run = new ControlRun({ keys: new KeyRing([fresh, old]), nonces: countingNonces() });
    const payload = (nonce: number): Uint8Array =>
      toBinary(
        AdaptationCommandSchema,
        buildCommand({ ...DRAFT, commandId: `c${nonce}` }, run.clock.nowMs(), new Uint8Array(16).fill(nonce)),
      );
    const byOld = signEnvelope(new KeyRing([old]), COMMAND_CONTEXT, payload(1));
    const byFresh = signEnvelope(new KeyRing([fresh]), COMMAND_CONTEXT, payload(2));
    expect([byOld, byFresh].map((bytes) => run.handle(run.deliver(bytes)).status)).toEqual([
      "applied",
      "applied",
    ]);
    const later = new ControlRun({ keys: new KeyRing([fresh]) });
    expect(later.handle(later.deliver(byOld)).reason).toBe("invalid_signature");
  });
});
