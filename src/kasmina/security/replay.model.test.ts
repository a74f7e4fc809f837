/**
 * The verifier against a model: thousands of schedules of sending, resending, reordering, clock jumps, eviction,
 * cleanup, reset, compaction, restart and key rotation. The model is plain arrays and follows docs/architecture.md,
 * "Command security".
 */
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock, toHex } from "../../base/index.js";
import { buildCommand, type Order } from "../../contracts/commands.js";
import { COMMAND_CONTEXT, signEnvelope } from "../../contracts/envelope.js";
import { AdaptationCommandSchema } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { nodeCrypto } from "../../contracts/key-crypto.node.js";
import { KeyRing } from "../../contracts/key-ring.js";
import { countingNonces } from "../control-run.fixture.js";
import { type LedgerTruncation, NonceLedger, type NonceLedgerOptions, type Quota } from "./nonce-ledger.js";
import { CommandVerifier } from "./verifier.js";

const LIMITS = { freshnessWindowMs: 60_000, futureSkewMs: 5_000, maxBytes: 65_536, maxIdBytes: 128 };
const TTL_MS = 65_000;
const RUN_ID = "run-1";

interface Sent {
  readonly envelope: Uint8Array;
  readonly nonce: string;
  readonly issuedAtMs: number;
  /** Number of the key that signed. */
  readonly key: number;
  /** The life of the run that it names; "" for any. */
  readonly incarnation: string;
}

interface Live {
  readonly key: string;
  readonly signedBy: number;
  readonly issuedAtMs: number;
  readonly second: number;
}

/** What is remembered, in arrays. */
class Model {
  live: Live[] = [];
  floorMs = Number.NEGATIVE_INFINITY;
  incarnation = "life-1";
  incarnationFloorMs = Number.NEGATIVE_INFINITY;
  /** What the run's journal holds. */
  records: { key: string; signedBy: number; issuedAtMs: number; floorMs: number }[] = [];
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  verdict(sent: Sent, nowMs: number, keys: readonly number[]): string {
    if (!keys.includes(sent.key)) return "invalid_signature";
    const ageMs = nowMs - sent.issuedAtMs;
    const isOfThisLife = sent.incarnation === this.incarnation;
    const floorMs = isOfThisLife ? this.incarnationFloorMs : this.floorMs;
    if (ageMs > LIMITS.freshnessWindowMs || sent.issuedAtMs <= floorMs) return "stale_command";
    if (-ageMs > LIMITS.futureSkewMs) return "issued_in_future";
    if (sent.incarnation !== "" && !isOfThisLife) return "wrong_incarnation";
    if (this.live.some(({ key }) => key === sent.nonce)) return "nonce_replayed";
    const quota = keys.length > 1 ? Math.ceil(this.capacity / 2) : Number.POSITIVE_INFINITY;
    if (this.heldBy(sent.key) >= quota) this.cleanup(nowMs);
    if (this.heldBy(sent.key) >= quota || !this.makeRoom(nowMs, nowMs)) return "quota_exceeded";
    const { key: signedBy, issuedAtMs } = sent;
    this.remember({ key: sent.nonce, signedBy, issuedAtMs }, nowMs);
    this.records.push({ key: sent.nonce, signedBy, issuedAtMs, floorMs: this.floorMs });
    return "accepted";
  }

  heldBy(signer: number): number {
    return this.live.filter(({ signedBy }) => signedBy === signer).length;
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

  remember(entry: Omit<Live, "second">, nowMs: number): void {
    this.makeRoom(nowMs);
    this.live.push({ ...entry, second: Math.floor(entry.issuedAtMs / 1_000) });
  }

  cleanup(nowMs: number): void {
    const expired = Math.floor((nowMs - TTL_MS) / 1_000);
    for (const entry of this.live.filter(({ second }) => second < expired)) this.drop(entry);
  }

  drop(entry: Live): void {
    this.live = this.live.filter((other) => other !== entry);
    this.floorMs = Math.max(this.floorMs, entry.issuedAtMs);
    this.incarnationFloorMs = Math.max(this.incarnationFloorMs, entry.issuedAtMs);
  }

  reset(nowMs: number, incarnation: string): void {
    for (const entry of this.live) this.drop(entry);
    this.floorMs = Math.max(this.floorMs, nowMs);
    this.begin(incarnation);
  }

  restart(nowMs: number): void {
    this.live = [];
    this.floorMs = Math.max(...this.records.map(({ floorMs }) => floorMs), this.compactedFloorMs);
    for (const { floorMs: _, ...entry } of this.records) this.remember(entry, nowMs);
    this.cleanup(nowMs);
  }

  begin(incarnation: string): void {
    expect(incarnation, "no two lives bear one name").not.toBe(this.incarnation);
    this.incarnation = incarnation;
    this.incarnationFloorMs = Number.NEGATIVE_INFINITY;
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
  #lives = 0;
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
    const { clock } = this;
    const { capacity } = this.model;
    const newIncarnation = () => `life-${++this.#lives}`;
    const ledger = new NonceLedger({ ttlMs: TTL_MS, capacity, cleanupMs: 30_000, clock, newIncarnation });
    return this.#with(ledger);
  }

  #with(ledger: NonceLedger): CommandVerifier {
    const keys = this.#ring();
    return new CommandVerifier({ trainingRunId: RUN_ID, keys, ledger, clock: this.clock, limits: LIMITS });
  }

  /** @param named whether it names the life of the run, as one that saw the run's state does */
  sign(ageMs: number, named: boolean): void {
    const incarnation = named ? this.#verifier.ledger.incarnation : "";
    const nonce = this.#nonces();
    const issuedAtMs = this.clock.nowMs() - ageMs;
    const draft = {
      commandId: "c",
      trainingRunId: RUN_ID,
      incarnation,
      issuedBy: "test",
      order: { kind: "OPTIMIZER" as const, learningRate: 0.1 },
    };
    const payload = toBinary(AdaptationCommandSchema, buildCommand(draft, issuedAtMs, nonce));
    const envelope = signEnvelope(this.#ring(), COMMAND_CONTEXT, payload);
    this.sent.push({ envelope, nonce: toHex(nonce), issuedAtMs, key: this.#keys[0] ?? 0, incarnation });
  }

  deliver(at: number): void {
    const sent = this.sent[at % Math.max(1, this.sent.length)];
    if (sent) this.verdictOf(sent);
  }

  /** That of model and verifier, which must be one. */
  verdictOf(sent: Sent | undefined): string | undefined {
    if (!sent) return undefined;
    const expected = this.model.verdict(sent, this.clock.nowMs(), this.#keys);
    const authentication = this.#verifier.authenticate(sent.envelope);
    const reason =
      "reason" in authentication ? authentication.reason : this.#verifier.admit(authentication.authentic);
    expect(reason ?? "accepted").toBe(expected);
    if (reason === undefined) {
      const times = (this.applied.get(sent.nonce) ?? 0) + 1;
      this.applied.set(sent.nonce, times);
      expect(times, "a command is never applied twice").toBe(1);
    }
    this.check();
    return expected;
  }

  cleanup(): void {
    this.#verifier.ledger.cleanup();
    this.model.cleanup(this.clock.nowMs());
    this.check();
  }

  reset(): void {
    const { ledger } = this.#verifier;
    ledger.reset();
    this.model.reset(this.clock.nowMs(), ledger.incarnation);
    // A reset is itself a journaled command: the floor it leaves is durable.
    this.model.records.push({
      key: `reset-${this.model.records.length}`,
      signedBy: -1,
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
    for (const { key, signedBy, issuedAtMs } of records)
      ledger.restore({ nonce: nonceOf(key), keyId: `k${signedBy}`, issuedAtMs });
    ledger.cleanup();
    ledger.beginIncarnation();
    this.model.begin(ledger.incarnation);
    this.check();
  }

  rotate(): void {
    this.#keys = [(this.#keys[0] ?? 0) + 1, this.#keys[0] ?? 0];
    this.#verifier = this.#with(this.#verifier.ledger);
  }

  check(): void {
    const { ledger } = this.#verifier;
    expect(ledger.size).toBeLessThanOrEqual(this.model.capacity);
    const { live, floorMs, incarnationFloorMs } = this.model;
    expect([ledger.size, ledger.floorMs, ledger.incarnationFloorMs]).toEqual([
      live.length,
      floorMs,
      incarnationFloorMs,
    ]);
  }
}

/** A reset's marker has no nonce: one that no counter reaches stands for it. */
function nonceOf(key: string): string {
  return key.startsWith("reset-") ? `${"ff".repeat(15)}${toHex(Uint8Array.of(Number(key.slice(6))))}` : key;
}

type Act = (subject: Subject) => void;

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.integer({ min: -7_000, max: 70_000 }), fc.boolean()).map(
      ([age, named]): Act =>
        (s) => {
          s.sign(age, named);
          s.deliver(s.sent.length - 1);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.integer({ min: -5_000, max: 20_000 }), fc.boolean()).map(
      ([age, named]): Act =>
        (s) =>
          s.sign(age, named),
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

/** Of a key that is alone. */
const ANY: Quota = { ofKey: Number.POSITIVE_INFINITY };

function ledgerOf(clock: ManualClock, options: Partial<NonceLedgerOptions>): NonceLedger {
  let lives = 0;
  const newIncarnation = () => `life-${++lives}`;
  return new NonceLedger({
    ttlMs: 300_000,
    capacity: 10_000,
    cleanupMs: 30_000,
    clock,
    newIncarnation,
    ...options,
  });
}

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
    const onTruncated = ({ dropped: count }: LedgerTruncation) => void dropped.push(count);
    const ledger = ledgerOf(clock, { capacity: 10_000, onTruncated });
    const nonces = countingNonces();
    let most = 0;
    for (let i = 0; i < 30_000; i++) {
      clock.advance(1);
      const before = ledger.touched;
      const nonce = toHex(nonces());
      const claim = { nonce, keyId: "k", issuedAtMs: clock.nowMs() - ((i * 37) % 4_000) };
      expect(ledger.claim(claim, ANY)).toBe("claimed");
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
    const ledger = ledgerOf(clock, { capacity: 100 });
    const nonces = countingNonces();
    const claims = (issuedAtMs: number, reserve = false) =>
      ledger.claim({ nonce: toHex(nonces()), keyId: "k", issuedAtMs }, { ...ANY, reserve });
    for (let i = 0; i < 100; i++) expect(claims(clock.nowMs() + 5_000)).toBe("claimed");
    expect(claims(clock.nowMs() + 5_000)).toBe("full");
    expect(ledger.floorMs).toBeLessThan(clock.nowMs());
    expect(claims(clock.nowMs(), true)).toBe("claimed"); // an emergency
    clock.advance(5_001);
    expect(claims(clock.nowMs())).toBe("claimed");
  });

  test("of several keys, one that floods is refused beyond its half, and makes nobody's command stale", () => {
    const clock = new ManualClock();
    const keys = new KeyRing(
      (["policy", "operator", "safety"] as const).map((role, at) => ({
        id: role,
        role,
        secret: new Uint8Array(32).fill(at + 1),
      })),
      nodeCrypto,
    );
    const ledger = ledgerOf(clock, { capacity: 100 });
    const verifier = new CommandVerifier({ trainingRunId: RUN_ID, keys, ledger, clock, limits: LIMITS });
    const nonces = countingNonces();
    const admit = (keyId: string, order: Order): string | undefined => {
      const draft = { commandId: "c", trainingRunId: RUN_ID, issuedBy: "test", order };
      const command = buildCommand(draft, clock.nowMs(), nonces());
      const nonce = toHex(command.nonce);
      return verifier.admit({ command, nonce, keyId, payload: new Uint8Array() });
    };
    const seed = { kind: "SEED", operation: "CULL" } as const;
    const flood = Array.from({ length: 10_000 }, () => admit("policy", seed));
    expect(flood.filter((reason) => reason === undefined)).toHaveLength(50);
    expect(flood.at(-1)).toBe("quota_exceeded");
    expect([ledger.evictions, ledger.floorMs]).toEqual([0, Number.NEGATIVE_INFINITY]);
    expect(admit("operator", { kind: "PAUSE", resume: false })).toBeUndefined();
    const halt = { kind: "EMERGENCY", level: "HALT", reason: "" } as const;
    expect(Array.from({ length: 100 }, () => admit("safety", halt))).toEqual(Array(100).fill(undefined));
    clock.advance(302_000);
    expect(admit("policy", seed)).toBeUndefined();
  });

  test("a reset under a clock that was a day ahead locks out nobody who asks the run for its life first", () => {
    const subject = new Subject(10);
    const dayMs = 24 * 60 * 60 * 1_000;
    subject.clock.jumpWallTo(subject.clock.nowMs() + dayMs);
    subject.sign(0, true);
    subject.deliver(0);
    subject.reset();
    subject.clock.jumpWallTo(subject.clock.nowMs() - dayMs);
    subject.sign(0, true);
    subject.sign(0, false);
    const [replayed, named, unnamed] = subject.sent;
    expect([named, unnamed].map((sent) => subject.verdictOf(sent))).toEqual(["accepted", "stale_command"]);
    subject.clock.advance(dayMs);
    expect(subject.verdictOf(replayed)).toBe("stale_command");
  });

  test("a folder that was put back takes nothing again that it did since", () => {
    const subject = new Subject(10);
    subject.sign(0, true);
    const records = [...subject.model.records];
    expect(subject.verdictOf(subject.sent[0])).toBe("accepted");
    subject.model.records = records;
    subject.restart();
    expect(subject.verdictOf(subject.sent[0])).toBe("wrong_incarnation");
  });

  test("the cleanup timer drops what has expired and keeps nothing alive after close", () => {
    const clock = new ManualClock();
    const ledger = ledgerOf(clock, { ttlMs: 65_000, capacity: 10 });
    ledger.start();
    ledger.claim({ nonce: "00".repeat(16), keyId: "k", issuedAtMs: clock.nowMs() }, ANY);
    clock.advance(60_000);
    expect(ledger.size).toBe(1);
    clock.advance(30_000);
    expect(ledger.size).toBe(0);
    ledger.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
