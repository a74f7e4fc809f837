/**
 * Decides whether bytes are a command for this run (docs/commands.md, "What is checked, in this order"). The order of
 * the checks is part of the contract: the first that fails names the reason, and a nonce is recorded only when
 * everything else has passed.
 *
 * Two steps, because a redelivered command must be recognised between them: {@link CommandVerifier.authenticate} proves
 * who wrote the bytes, {@link CommandVerifier.admit} that they are for here, for now, and new.
 */
import { toHex, utf8 } from "../../base/bytes.js";
import type { Clock } from "../../base/clock.js";
import { COMMAND_VERSION, NONCE_BYTES } from "../../contracts/commands.js";
import { COMMAND_CONTEXT, decodeEnvelope, signatureProblem } from "../../contracts/envelope.js";
import type { AdaptationCommand } from "../../contracts/gen/kasmina/v1/command_pb.js";
import type { KeyRing } from "../../contracts/key-ring.js";
import { commandWords } from "../../contracts/names.js";
import { readCommand } from "../../contracts/read-command.js";
import { mayOrder } from "../../contracts/roles.js";
import type { NonceLedger } from "./nonce-ledger.js";

/** Every reason of a rejection, in the order they are checked. */
export const REJECTION_REASONS = [
  "missing_signature",
  "invalid_signature",
  "malformed_command",
  "missing_timestamp",
  "stale_command",
  "issued_in_future",
  "wrong_run",
  "wrong_incarnation",
  "missing_command_id",
  "not_granted",
  "wrong_issuer",
  "nonce_replayed",
  "quota_exceeded",
] as const;
export type RejectionReason = (typeof REJECTION_REASONS)[number];

export interface VerifierLimits {
  readonly freshnessWindowMs: number;
  readonly futureSkewMs: number;
  readonly maxBytes: number;
  readonly maxIdBytes: number;
}

export interface CommandVerifierOptions {
  readonly trainingRunId: string;
  readonly keys: KeyRing;
  readonly ledger: NonceLedger;
  readonly clock: Clock;
  readonly limits: VerifierLimits;
}

/** A command whose signature holds; not yet admitted. */
export interface AuthenticCommand {
  readonly command: AdaptationCommand;
  /** The bytes that were signed. */
  readonly payload: Uint8Array;
  /** The command's, as 32 hex digits. */
  readonly nonce: string;
  readonly keyId: string;
}

export type Authentication =
  | { readonly authentic: AuthenticCommand }
  | { readonly reason: RejectionReason; readonly commandId?: string };

export class CommandVerifier {
  readonly #options: CommandVerifierOptions;
  #latencyMs = 0;

  constructor(options: CommandVerifierOptions) {
    this.#options = options;
  }

  get ledger(): NonceLedger {
    return this.#options.ledger;
  }

  /** How long the last authentication took. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** Size, signature over the bytes as they came, then decoding. Never throws. */
  authenticate(bytes: Uint8Array): Authentication {
    const startMs = this.#options.clock.monotonicMs();
    const authentication = this.#authenticate(bytes);
    this.#latencyMs = this.#options.clock.monotonicMs() - startMs;
    return authentication;
  }

  #authenticate(bytes: Uint8Array): Authentication {
    if (bytes.length > this.#options.limits.maxBytes) return { reason: "malformed_command" };
    const envelope = decodeEnvelope(bytes);
    if (!envelope) return { reason: "malformed_command" };
    const reason = signatureProblem(this.#options.keys, COMMAND_CONTEXT, envelope);
    if (reason) return { reason };
    const command = decodeCommand(envelope.payload);
    if (!command) return { reason: "malformed_command" };
    const { payload, keyId } = envelope;
    return { authentic: { command, payload, nonce: toHex(command.nonce), keyId } };
  }

  /** Why an authentic command is not for here, for now, or new; undefined where it is, and its nonce recorded. */
  admit({ command, nonce, keyId }: AuthenticCommand): RejectionReason | undefined {
    const { ledger } = this.#options;
    const issuedAtMs = issuedAtOf(command);
    if (issuedAtMs === undefined) return "missing_timestamp";
    const reason =
      this.#timeProblem(command, issuedAtMs) ??
      this.#addressProblem(command) ??
      this.#grantProblem(command, keyId);
    if (reason) return reason;
    const reserve = commandWords.word(command.commandType) === "EMERGENCY";
    return CLAIM_PROBLEM[ledger.claim({ nonce, issuedAtMs, keyId }, { ofKey: this.#quotaOfKey(), reserve })];
  }

  /** Where several keys may command, none takes all places: what it sends beyond its half is refused, and forgets nobody's commands. */
  #quotaOfKey(): number {
    const { ledger, keys } = this.#options;
    return keys.commanders > 1 ? Math.ceil(ledger.capacity / 2) : Number.POSITIVE_INFINITY;
  }

  #timeProblem(command: AdaptationCommand, issuedAtMs: number): RejectionReason | undefined {
    const { limits, ledger, clock } = this.#options;
    const ageMs = clock.nowMs() - issuedAtMs;
    const lifeMs = command.expiresAfterMs || limits.freshnessWindowMs;
    if (ageMs > Math.min(lifeMs, limits.freshnessWindowMs)) return "stale_command";
    const isOfThisLife = command.incarnation === ledger.incarnation;
    if (issuedAtMs <= (isOfThisLife ? ledger.incarnationFloorMs : ledger.floorMs)) return "stale_command";
    return -ageMs > limits.futureSkewMs ? "issued_in_future" : undefined;
  }

  #addressProblem(command: AdaptationCommand): RejectionReason | undefined {
    const { limits, trainingRunId, ledger } = this.#options;
    if (command.trainingRunId !== trainingRunId) return "wrong_run";
    if (command.incarnation !== "" && command.incarnation !== ledger.incarnation) return "wrong_incarnation";
    const id = command.commandId;
    return id.trim() !== "" && fitsBytes(id, limits.maxIdBytes) ? undefined : "missing_command_id";
  }

  /** A command is worth no more than the role of its key. One of no known kind is nobody's to refuse here: no handler takes it. */
  #grantProblem(command: AdaptationCommand, keyId: string): RejectionReason | undefined {
    const key = this.#options.keys.find(keyId);
    const kind = commandWords.word(command.commandType);
    if (kind !== undefined && !mayOrder(key?.role, kind)) return "not_granted";
    return key?.issuer === undefined || key.issuer === command.issuedBy ? undefined : "wrong_issuer";
  }
}

/** Milliseconds since 1970 at which a command was issued; undefined where it does not say. */
export function issuedAtOf(command: AdaptationCommand): number | undefined {
  const { issuedAt } = command;
  return issuedAt && Number(issuedAt.seconds) * 1_000 + issuedAt.nanos / 1_000_000;
}

/** Whether a text is at most so many bytes of UTF-8, of which a UTF-16 unit takes 1 to 3. */
function fitsBytes(text: string, maxBytes: number): boolean {
  if (text.length * 3 <= maxBytes) return true;
  return text.length <= maxBytes && utf8(text).length <= maxBytes;
}

const CLAIM_PROBLEM = { claimed: undefined, known: "nonce_replayed", full: "quota_exceeded" } as const;

/** protobuf's own bounds of a Timestamp: the years 1 to 9999. */
const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;

function decodeCommand(payload: Uint8Array): AdaptationCommand | undefined {
  try {
    const command = readCommand(payload);
    const wellFormed =
      command.version === COMMAND_VERSION && command.nonce.length === NONCE_BYTES && hasSaneTime(command);
    return wellFormed ? command : undefined;
  } catch {
    return undefined;
  }
}

function hasSaneTime({ issuedAt }: AdaptationCommand): boolean {
  if (!issuedAt) return true;
  const { seconds, nanos } = issuedAt;
  return seconds >= MIN_SECONDS && seconds <= MAX_SECONDS && nanos >= 0 && nanos < 1_000_000_000;
}
