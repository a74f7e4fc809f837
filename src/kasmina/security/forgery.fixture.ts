/** Random bytes and mutations of real envelopes, as an attacker without the key would send them. */
import { toBinary } from "@bufbuild/protobuf";
import { ManualClock, Random } from "../../base/index.js";
import { buildCommand } from "../../contracts/commands.js";
import { COMMAND_CONTEXT, signEnvelope } from "../../contracts/envelope.js";
import { AdaptationCommandSchema } from "../../contracts/gen/kasmina/v1/command_pb.js";
import { nodeCrypto } from "../../contracts/key-crypto.node.js";
import { KeyRing } from "../../contracts/key-ring.js";
import { NonceLedger } from "./nonce-ledger.js";
import { CommandVerifier } from "./verifier.js";

const RUN_ID = "run-1";
const CAPACITY = 100;

/** A verifier with a full ledger, so that one accepted forgery would evict. */
export function besieged() {
  const clock = new ManualClock();
  const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(42) }], nodeCrypto);
  const ledger = new NonceLedger({
    ttlMs: 300_000,
    capacity: CAPACITY,
    cleanupMs: 30_000,
    clock,
    newIncarnation: () => "life",
  });
  const limits = { freshnessWindowMs: 60_000, futureSkewMs: 5_000, maxBytes: 65_536, maxIdBytes: 128 };
  const verifier = new CommandVerifier({ trainingRunId: RUN_ID, keys, ledger, clock, limits });
  const envelopes = Array.from({ length: CAPACITY }, (_, at) => {
    const nonce = new Uint8Array(16).fill(at);
    const draft = {
      commandId: `c${at}`,
      trainingRunId: RUN_ID,
      issuedBy: "Ünïcode ☃",
      order: { kind: "SEED" as const, operation: "GERMINATE" as const, blueprintId: "mlp-residual" },
      seedId: `s${at}`,
      slotId: "block1",
    };
    const command = buildCommand(draft, clock.nowMs(), nonce);
    return signEnvelope(keys, COMMAND_CONTEXT, toBinary(AdaptationCommandSchema, command));
  });
  return { verifier, ledger, envelopes };
}

/** One forgery: never a copy of an envelope that was signed. */
export function forge(random: Random, envelopes: readonly Uint8Array[]): Uint8Array {
  const source = envelopes[random.below(envelopes.length)] ?? new Uint8Array();
  for (;;) {
    const forgery = FORGERS[random.below(FORGERS.length)]?.(random, source) ?? source;
    if (!sameBytes(forgery, source)) return forgery;
  }
}

type Forger = (random: Random, source: Uint8Array) => Uint8Array;

const FORGERS: readonly Forger[] = [
  (random) => noise(random, random.below(200)),
  (random, source) => flip(random, source, 1),
  (random, source) => flip(random, source, 1 + random.below(8)),
  (random, source) => source.slice(0, random.below(source.length)),
  (random, source) => splice(random, source, noise(random, 1 + random.below(16))),
  (random, source) => splice(random, source, TEXT),
  (random, source) => withLength(random, source),
  (random, source) => flip(random, splice(random, source, new Uint8Array()), 1),
];

const TEXT = new TextEncoder().encode("ключ☃\u0000");

function noise(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

function flip(random: Random, source: Uint8Array, bits: number): Uint8Array {
  const out = source.slice();
  for (let i = 0; i < bits; i++) {
    const at = random.below(out.length);
    out[at] = (out[at] ?? 0) ^ (1 << random.below(8));
  }
  return out;
}

/** Puts bytes somewhere, over or between what is there. */
function splice(random: Random, source: Uint8Array, bytes: Uint8Array): Uint8Array {
  const at = random.below(source.length + 1);
  const removed = random.below(2) === 0 ? bytes.length : 0;
  const tail = source.slice(Math.min(source.length, at + removed));
  const out = new Uint8Array(at + bytes.length + tail.length);
  out.set(source.slice(0, at));
  out.set(bytes, at);
  out.set(tail, at + bytes.length);
  return out;
}

/** Sets a byte that may be a length to an extreme. */
function withLength(random: Random, source: Uint8Array): Uint8Array {
  const out = source.slice();
  out[random.below(out.length)] = [0, 0x7f, 0x80, 0xff][random.below(4)] ?? 0;
  return out;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export interface Siege {
  readonly forgeries: number;
  readonly accepted: number;
  /** By reason. */
  readonly rejected: Readonly<Record<string, number>>;
  readonly evictions: number;
}

/**
 * Fills the ledger with sound commands, then sends forgeries. An appended unknown field leaves a signature valid: the
 * payload is what is signed. Such an envelope is its original once more, so its nonce is a replay.
 */
export function besiege(seed: number, forgeries: number, every?: (sent: number) => void): Siege {
  const { verifier, ledger, envelopes } = besieged();
  for (const envelope of envelopes) {
    const result = verifier.authenticate(envelope);
    if (!("authentic" in result) || verifier.admit(result.authentic) !== undefined)
      throw new Error("a sound command was rejected");
  }
  const random = new Random(seed);
  const rejected: Record<string, number> = {};
  let accepted = 0;
  for (let sent = 0; sent < forgeries; sent++) {
    const result = verifier.authenticate(forge(random, envelopes));
    const reason = "reason" in result ? result.reason : verifier.admit(result.authentic);
    if (reason === undefined) accepted++;
    else rejected[reason] = (rejected[reason] ?? 0) + 1;
    every?.(sent);
  }
  return { forgeries, accepted, rejected, evictions: ledger.evictions };
}
