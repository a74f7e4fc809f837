/**
 * The verifier against a model: thousands of schedules of sending, resending, reordering, clock jumps, eviction,
 * cleanup, reset, compaction, restart and key rotation. The model is plain arrays and follows docs/architecture.md,
 * "Command security".
 */
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { buildCommand } from "../../contracts/commands.js";
import { COMMAND_CONTEXT, signEnvelope } from "../../contracts/envelope.js";
import { AdaptationCommandSchema } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { nodeCrypto } from "../../contracts/key-crypto.node.js";
import { KeyRing } from "../../contracts/key-ring.js";
import { countingNonces } from "../control-run.fixture.js";
import { NonceLedger } from "./nonce-ledger.js";
import { CommandVerifier } from "./verifier.js";

const LIMITS = { freshnessWindowMs: 60_000, futureSkewMs: 5_000, maxBytes: 65_536, maxIdBytes: 128 };
const TTL_MS = 65_000;
const RUN_ID = "run-1";

interface Sent {
  readonly envelope: Uint8Array;
  readonly nonce: Uint8Array;
  readonly issuedAtMs: number;
  /** Number of the key that signed. */
  readonly key: number;
}

const keyOf = (nonce: Uint8Array): string => [...nonce].join();

/** What is remembered, in arrays. */
class Model {
  live: { key: string; issuedAtMs: number; second: number }[] = [];
  floorMs = Number.NEGATIVE_INFINITY;
  /** What the run's journal holds. */
  records: { key: string; issuedAtMs: number; floorMs: number }[] = [];
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  verdict(sent: Sent, nowMs: number, keys: readonly number[]): string {
    if (!keys.includes(sent.key)) return "invalid_signature";
    const ageMs = nowMs - sent.issuedAtMs;
    if (ageMs > LIMITS.freshnessWindowMs || sent.issuedAtMs <= this.floorMs) return "stale_command";
    if (-ageMs > LIMITS.futureSkewMs) return "issued_in_future";
    if (this.live.some(({ key }) => key === keyOf(sent.nonce))) return "nonce_replayed";
    if (!this.makeRoom(nowMs, nowMs)) return "quota_exceeded";
    this.remember(keyOf(sent.nonce), sent.issuedAtMs, nowMs);
    this.records.push({ key: keyOf(sent.nonce), issuedAtMs: sent.issuedAtMs, floorMs: this.floorMs });
    return "accepted";
  }

  /** Drops the oldest of those issued until `untilMs`; whether there is room then. */
  makeRoom(nowMs: number, untilMs = Number.POSITIVE_INFINITY): boolean {
    if (this.live.length >= this.capacity) this.cleanup(nowMs);
    while (this.live.length >= this.capacity) {
      const second = Math.min(...this.live.map((entry) => entry.second));
      const oldest = this.live.find((entry) => entry.second === second);
      if (!oldest || oldest.issuedAtMs > untilMs) return false;
      this.drop(oldest);
    }
    return true;
  }

  remember(key: string, issuedAtMs: number, nowMs: number): void {
    this.makeRoom(nowMs);
    this.live.push({ key, issuedAtMs, second: Math.floor(issuedAtMs / 1_000) });
  }

  cleanup(nowMs: number): void {
    const expired = Math.floor((nowMs - TTL_MS) / 1_000);
    for (const entry of this.live.filter(({ second }) => second < expired)) this.drop(entry);
  }

  drop(entry: { key: string; issuedAtMs: number; second: number } | undefined): void {
    this.live = this.live.filter((other) => other !== entry);
    this.floorMs = Math.max(this.floorMs, entry?.issuedAtMs ?? this.floorMs);
  }

  reset(nowMs: number): void {
    for (const entry of this.live) this.drop(entry);
    this.floorMs = Math.max(this.floorMs, nowMs);
  }

  restart(nowMs: number): void {
    this.live = [];
    this.floorMs = Math.max(...this.records.map(({ floorMs }) => floorMs), this.compactedFloorMs);
    for (const { key, issuedAtMs } of this.records) this.remember(key, issuedAtMs, nowMs);
    this.cleanup(nowMs);
  }

  compactedFloorMs = Number.NEGATIVE_INFINITY;

  compact(beforeMs: number): void {
    const dropped = this.records.filter(({ issuedAtMs }) => issuedAtMs < beforeMs);
    this.records = this.records.filter((record) => !dropped.includes(record));
    this.compactedFloorMs = Math.max(
      this.compactedFloorMs,
      ...dropped.flatMap(({ issuedAtMs, floorMs }) => [issuedAtMs, floorMs]),
    );
  }
}

/** The real ledger and verifier, driven by the same schedule. */
class Subject {
  readonly clock = new ManualClock();
  readonly model: Model;
  readonly sent: Sent[] = [];
  readonly applied = new Map<string, number>();
  readonly #nonces = countingNonces();
  #keys = [0];
  #verifier: CommandVerifier;

  constructor(capacity: number) {
    this.model = new Model(capacity);
    this.#verifier = this.#fresh();
  }

  #ring(): KeyRing {
    const keys = this.#keys.map((key) => ({ id: `k${key}`, secret: new Uint8Array(32).fill(key + 1) }));
    return new KeyRing(keys, nodeCrypto);
  }

  #fresh(): CommandVerifier {
    const { capacity } = this.model;
    const ledger = new NonceLedger({ ttlMs: TTL_MS, capacity, cleanupMs: 30_000, clock: this.clock });
    return this.#with(ledger);
  }

  #with(ledger: NonceLedger): CommandVerifier {
    const keys = this.#ring();
    return new CommandVerifier({ trainingRunId: RUN_ID, keys, ledger, clock: this.clock, limits: LIMITS });
  }

  sign(ageMs: number): void {
    const nonce = this.#nonces();
    const issuedAtMs = this.clock.nowMs() - ageMs;
    const draft = {
      commandId: "c",
      trainingRunId: RUN_ID,
      issuedBy: "test",
      order: { kind: "OPTIMIZER" as const, learningRate: 0.1 },
    };
    const payload = toBinary(AdaptationCommandSchema, buildCommand(draft, issuedAtMs, nonce));
    const envelope = signEnvelope(this.#ring(), COMMAND_CONTEXT, payload);
    this.sent.push({ envelope, nonce, issuedAtMs, key: this.#keys[0] ?? 0 });
  }

  deliver(at: number): void {
    const sent = this.sent[at % Math.max(1, this.sent.length)];
    if (!sent) return;
    const expected = this.model.verdict(sent, this.clock.nowMs(), this.#keys);
    const authentication = this.#verifier.authenticate(sent.envelope);
    const reason =
      "reason" in authentication ? authentication.reason : this.#verifier.admit(authentication.authentic);
    expect(reason ?? "accepted").toBe(expected);
    if (reason === undefined) {
      const times = (this.applied.get(keyOf(sent.nonce)) ?? 0) + 1;
      this.applied.set(keyOf(sent.nonce), times);
      expect(times, "a command is never applied twice").toBe(1);
    }
    this.check();
  }

  cleanup(): void {
    this.#verifier.ledger.cleanup();
    this.model.cleanup(this.clock.nowMs());
    this.check();
  }

  reset(): void {
    this.#verifier.ledger.reset();
    this.model.reset(this.clock.nowMs());
    // A reset is itself a journaled command: the floor it leaves is durable.
    this.model.records.push({
      key: `reset-${this.model.records.length}`,
      issuedAtMs: -1e15,
      floorMs: this.model.floorMs,
    });
    this.check();
  }

  restart(): void {
    this.model.restart(this.clock.nowMs());
    this.#verifier = this.#fresh();
    const { ledger } = this.#verifier;
    const { records, compactedFloorMs } = this.model;
    ledger.raiseFloor(Math.max(...records.map(({ floorMs }) => floorMs), compactedFloorMs));
    for (const { key, issuedAtMs } of records) ledger.restore(Uint8Array.from(bytesOf(key)), issuedAtMs);
    ledger.cleanup();
    this.check();
  }

  rotate(): void {
    this.#keys = [(this.#keys[0] ?? 0) + 1, this.#keys[0] ?? 0];
    this.#verifier = this.#with(this.#verifier.ledger);
  }

  check(): void {
    const { ledger } = this.#verifier;
    expect(ledger.size).toBeLessThanOrEqual(this.model.capacity);
    expect([ledger.size, ledger.floorMs]).toEqual([this.model.live.length, this.model.floorMs]);
  }
}

/** A reset's marker has no nonce: 16 bytes that no counter reaches stand for it. */
function bytesOf(key: string): number[] {
  if (!key.startsWith("reset-")) return key.split(",").map(Number);
  return [255, ...new Array(14).fill(255), Number(key.slice(6)) % 256];
}

type Act = (subject: Subject) => void;

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.integer({ min: -7_000, max: 70_000 }).map(
      (age): Act =>
        (s) => {
          s.sign(age);
          s.deliver(s.sent.length - 1);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.integer({ min: -5_000, max: 20_000 }).map(
      (age): Act =>
        (s) =>
          s.sign(age),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.nat(200).map(
      (at): Act =>
        (s) =>
          s.deliver(at),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.nat(40_000).map(
      (ms): Act =>
        (s) =>
          s.clock.advance(ms),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: -300_000, max: 300_000 }).map(
      (ms): Act =>
        (s) =>
          s.clock.jumpWallTo(s.clock.nowMs() + ms),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Act>((s) => s.cleanup()) },
  { weight: 1, arbitrary: fc.constant<Act>((s) => s.reset()) },
  { weight: 1, arbitrary: fc.constant<Act>((s) => s.restart()) },
  {
    weight: 1,
    arbitrary: fc.nat(90_000).map(
      (ms): Act =>
        (s) =>
          s.model.compact(s.clock.nowMs() - ms),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Act>((s) => s.rotate()) },
);

describe("verifier and ledger", () => {
  test("agree with the model over 3,000 schedules", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(acts, { maxLength: 60 }), (capacity, schedule) => {
        const subject = new Subject(capacity);
        for (const act of schedule) act(subject);
        for (let at = 0; at < subject.sent.length; at++) subject.deliver(at);
      }),
      { numRuns: 3_000 },
    );
  });

  test("at 10,000 entries every operation touches a constant number of them", () => {
    const clock = new ManualClock();
    const dropped: number[] = [];
    const ledger = new NonceLedger({
      ttlMs: 300_000,
      capacity: 10_000,
      cleanupMs: 30_000,
      clock,
      onTruncated: (truncation) => dropped.push(truncation.dropped),
    });
    const nonces = countingNonces();
    let most = 0;
    for (let i = 0; i < 30_000; i++) {
      clock.advance(1);
      const before = ledger.touched;
      const nonce = nonces();
      expect(ledger.claim(nonce, clock.nowMs() - ((i * 37) % 4_000))).toBe("claimed");
      expect(ledger.has(nonce)).toBe(true);
      most = Math.max(most, ledger.touched - before);
      expect(ledger.size).toBeLessThanOrEqual(10_000);
    }
    expect(most).toBe(3);
    expect(ledger.evictions).toBe(20_000);
    expect(dropped).toHaveLength(20_000);
  });

  test("who fills it with commands dated ahead is refused, and makes no honest one stale", () => {
    const clock = new ManualClock();
    const ledger = new NonceLedger({ ttlMs: 300_000, capacity: 100, cleanupMs: 30_000, clock });
    const nonces = countingNonces();
    const claims = (atMs: number, reserve = false) => ledger.claim(nonces(), atMs, reserve);
    for (let i = 0; i < 100; i++) expect(claims(clock.nowMs() + 5_000)).toBe("claimed");
    expect(claims(clock.nowMs() + 5_000)).toBe("full");
    expect(ledger.floorMs).toBeLessThan(clock.nowMs());
    expect(claims(clock.nowMs(), true)).toBe("claimed"); // an emergency
    clock.advance(5_001);
    expect(claims(clock.nowMs())).toBe("claimed");
  });

  test("the cleanup timer drops what has expired and keeps nothing alive after close", () => {
    const clock = new ManualClock();
    const ledger = new NonceLedger({ ttlMs: 65_000, capacity: 10, cleanupMs: 30_000, clock });
    ledger.start();
    ledger.claim(new Uint8Array(16), clock.nowMs());
    clock.advance(60_000);
    expect(ledger.size).toBe(1);
    clock.advance(30_000);
    expect(ledger.size).toBe(0);
    ledger.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
