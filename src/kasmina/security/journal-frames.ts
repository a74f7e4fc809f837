/**
 * The lines of a journal: `<seal> <json>\n`. The seal is an HMAC over the seal of the line before and the JSON, so lines can be
 * neither forged nor dropped, repeated or moved; the first line says whose journal it is. Of a command the line holds the signed
 * envelope as it came, and what else is known of it is read from there again, signature and run id checked.
 */
import { base64Decode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import { concatBytes, fromHex, toBase64, toHex, utf8 } from "../../base/bytes.js";
import { ERROR_CODES, KasminaError, messageOf } from "../../base/errors.js";
import { fromJsonText, toJsonText } from "../../base/json.js";
import { COMMAND_CONTEXT, decodeEnvelope, signatureProblem } from "../../contracts/envelope.js";
import type { KeyRing } from "../../contracts/key-ring.js";
import { MAC_BYTES } from "../../contracts/mac.js";
import { readCommand } from "../../contracts/read-command.js";
import type { SealContext, Sealer } from "../../contracts/seal.js";
import type { FetchResult, JournalRecord } from "./journal.js";
import { issuedAtOf } from "./verifier.js";

export const JOURNAL_FORMAT = "kasmina.journal.v2";
const SEAL_DIGITS = 2 * MAC_BYTES;
const NEWLINE = 0x0a;
const LINE_END = Uint8Array.of(NEWLINE);
const LINE = /^([0-9a-f]{64}) (\{.*\})$/s;

/** What the first line of a journal says besides its records. */
export interface JournalHead {
  readonly format: typeof JOURNAL_FORMAT;
  readonly run_id: string;
  /** Of the seals of all lines. */
  readonly key_id: string;
  /** SHA-256 of the run's run.json; left out where the run has none. */
  readonly about?: string;
  /** How far the history beside it goes at least. */
  readonly history?: { readonly frames: number; readonly seal: string };
}

/** One line. */
export interface Frame {
  readonly head?: JournalHead;
  readonly records: readonly JournalRecord[];
  /** Fetch results, under the name that they have had on disk from the start. Left out where there are none. */
  readonly verdicts?: readonly FetchResult[];
  /** Of records that were compacted away. */
  readonly floorMs?: number;
  readonly lastSequence?: number;
}

const outcomeSchema = z.object({
  status: z.enum(["applied", "refused", "failed"]),
  reason: z.string(),
  effectiveStep: z.number().optional(),
  seedId: z.string().optional(),
  message: z.string().optional(),
});

export const fetchResultSchema = z.object({
  requestId: z.string(),
  step: z.number(),
  found: z.discriminatedUnion("status", [
    z.object({
      status: z.literal("attached"),
      sha256: z.string(),
      prewarmP50Ms: z.union([z.number(), z.nan()]),
      prewarmP95Ms: z.union([z.number(), z.nan()]),
      fallbackUsed: z.boolean(),
    }),
    z.object({ status: z.literal("missing"), code: z.enum(ERROR_CODES), message: z.string() }),
  ]),
});

export const storedSchema = z.object({
  sequence: z.int().positive(),
  busEntry: z.string(),
  envelope: z.base64(),
  step: z.int().min(0),
  epoch: z.int().min(0),
  acceptedAtMs: z.number(),
  floorMs: z.number().optional(),
  outcome: outcomeSchema,
});

const frameSchema = z.object({
  n: z.int().min(0),
  head: z
    .object({
      format: z.literal(JOURNAL_FORMAT),
      run_id: z.string(),
      key_id: z.string(),
      about: z.string().optional(),
      history: z.object({ frames: z.int().min(0), seal: z.string() }).optional(),
    })
    .optional(),
  records: z.array(storedSchema),
  verdicts: z.array(fetchResultSchema).optional(),
  floorMs: z.number().optional(),
  lastSequence: z.int().optional(),
});

/** Writes and reads the lines of one file, each sealed over the one before. */
export class FrameChain {
  readonly #context: SealContext;
  readonly #sealer: Sealer;
  readonly #keys: KeyRing;
  readonly #runId: string;
  #keyId: string;
  #count = 0;
  #seal: Uint8Array = new Uint8Array(MAC_BYTES);

  constructor(context: SealContext, sealer: Sealer, keys: KeyRing, trainingRunId: string) {
    this.#context = context;
    this.#sealer = sealer;
    this.#keys = keys;
    this.#runId = trainingRunId;
    this.#keyId = sealer.keyId;
  }

  /** The key of its seals. */
  get keyId(): string {
    return this.#keyId;
  }

  /** Lines so far. */
  get count(): number {
    return this.#count;
  }

  /** Of the last line. */
  get seal(): string {
    return toHex(this.#seal);
  }

  /** The next line's bytes. */
  encode({ records, verdicts = [], ...rest }: Frame): Uint8Array {
    const line = { n: this.#count, ...rest, records: records.map(toStored) };
    // Of all that stands in a line a latency alone may be no number; to ask for each part takes twice as long.
    const text = utf8(verdicts.length > 0 ? toJsonText({ ...line, verdicts }) : JSON.stringify(line));
    this.#seal = this.#sealer.seal(this.#context, concatBytes(this.#seal, text), this.#keyId);
    this.#count++;
    return concatBytes(utf8(`${this.seal} `), text, LINE_END);
  }

  /**
   * The lines of a file, checked, up to a last one that was torn.
   * @throws KasminaError `corrupt` for a line that is damaged, forged, missing, repeated or out of its place
   */
  decode(bytes: Uint8Array, visit: (frame: Frame) => void): number {
    let start = 0;
    while (start < bytes.length) {
      const end = bytes.indexOf(NEWLINE, start);
      const line = end < 0 ? undefined : lineOf(bytes.subarray(start, end));
      if (line === undefined) {
        if (end >= 0 && end < bytes.length - 1) throw corrupt(`is damaged at byte ${start}`);
        return start;
      }
      visit(this.#decodeLine(line, start));
      start = end + 1;
    }
    return start;
  }

  #decodeLine({ seal, json, value }: Line, at: number): Frame {
    const parsed = frameSchema.safeParse(value);
    if (!parsed.success) throw corrupt(`holds a line at byte ${at} that is none of its kind`);
    const { n, head, records, ...rest } = parsed.data;
    if (head) this.#keyId = this.#checkHead(head);
    const data = concatBytes(this.#seal, utf8(json));
    if (!this.#sealer.holds(this.#context, data, this.#keyId, seal) || n !== this.#count)
      throw corrupt(`was changed by somebody else at byte ${at}`);
    this.#seal = fromHex(seal);
    this.#count++;
    const opened = {
      ...rest,
      ...(head && { head }),
      records: records.map((record) => this.#open(record, at)),
    };
    // What is left out in JSON is left out, never undefined.
    return opened as Frame;
  }

  #checkHead({ run_id, key_id }: { readonly run_id: string; readonly key_id: string }): string {
    if (run_id !== this.#runId) throw corrupt(`is of run ${run_id.slice(0, 80)}, not of ${this.#runId}`);
    if (!this.#sealer.knows(key_id))
      throw corrupt(`is sealed with key ${key_id.slice(0, 80)}, which is not here`);
    return key_id;
  }

  /**
   * What was signed is checked again. A key that has left the ring since vouches no more; that the line was accepted then, its
   * seal says.
   */
  #open({ envelope: text, ...rest }: z.infer<typeof storedSchema>, at: number): JournalRecord {
    const envelope = base64Decode(text);
    const parts = decodeEnvelope(envelope);
    if (!parts) throw corrupt(`holds no command at byte ${at}`);
    if (this.#keys.find(parts.keyId) && signatureProblem(this.#keys, COMMAND_CONTEXT, parts))
      throw corrupt(`holds a command at byte ${at} that nobody signed`);
    const command = readCommand(parts.payload);
    if (command.trainingRunId !== this.#runId) throw corrupt(`holds a command for another run at byte ${at}`);
    const record = {
      ...rest,
      commandId: command.commandId,
      nonce: toHex(command.nonce),
      issuedAtMs: issuedAtOf(command) ?? 0,
      envelope,
      payload: parts.payload,
      keyId: parts.keyId,
    };
    return record as JournalRecord;
  }
}

function toStored(record: JournalRecord): object {
  const { sequence, busEntry, step, epoch, acceptedAtMs, floorMs, outcome, envelope } = record;
  return {
    sequence,
    busEntry,
    step,
    epoch,
    acceptedAtMs,
    floorMs,
    outcome,
    envelope: toBase64(envelope),
  };
}

interface Line {
  /** Empty where there is none. */
  readonly seal: string;
  readonly json: string;
  readonly value: unknown;
}

/** A line that is whole, whatever it bears in the place of a seal; undefined for one that was torn. */
function lineOf(bytes: Uint8Array): Line | undefined {
  const text = textOf(bytes);
  if (text === undefined) return undefined;
  const [, seal = "", sealed] = LINE.exec(text) ?? [];
  const json = sealed ?? text.slice(text.indexOf("{"));
  const value = jsonOf(json);
  return value === undefined ? undefined : { seal, json, value };
}

function textOf(line: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(line);
  } catch {
    return undefined;
  }
}

export function jsonOf(json: string): unknown {
  try {
    return fromJsonText(json);
  } catch {
    return undefined;
  }
}

/** Whether bytes begin as the journals of the first format did, whose commands are not signed: 16 digits of a digest. */
export function isOldJournal(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, SEAL_DIGITS));
  return /^[0-9a-f]{16} \{/.test(text);
}

export function corrupt(what: string): KasminaError {
  return new KasminaError("corrupt", `the command journal ${what}`);
}

export function journalError(error: unknown): KasminaError {
  if (error instanceof KasminaError && error.code !== "io") return error;
  return new KasminaError("io", `command journal: ${messageOf(error)}`, { cause: error });
}
