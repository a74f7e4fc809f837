/**
 * What a journal says that nobody here can vouch for: of a run that was sent without its keys, or of the first format, whose lines
 * had a digest in the place of a seal and bare commands in the place of envelopes. To look at and to replay, never to go on with.
 */
import { base64Decode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import { toHex } from "../../base/bytes.js";
import { messageOf } from "../../base/errors.js";
import { decodeEnvelope } from "../../contracts/envelope.js";
import { readCommand } from "../../contracts/read-command.js";
import type { FetchResult, JournalRecord } from "./journal.js";
import { corrupt, fetchResultSchema, jsonOf, storedSchema } from "./journal-frames.js";
import { issuedAtOf } from "./verifier.js";

const frameSchema = z.object({
  records: z.array(
    z.union([storedSchema, storedSchema.omit({ envelope: true }).extend({ payload: z.base64() })]),
  ),
  verdicts: z.array(fetchResultSchema).optional(),
});

export interface UnsealedJournal {
  readonly records: readonly JournalRecord[];
  readonly fetchResults: readonly FetchResult[];
}

/** @throws KasminaError `corrupt` for a line before the last that is none */
export function readUnsealed(bytes: Uint8Array): UnsealedJournal {
  const lines = new TextDecoder().decode(bytes).split("\n").slice(0, -1);
  const frames = lines.flatMap((line, at) => {
    const frame = frameSchema.safeParse(jsonOf(line.slice(line.indexOf("{"))));
    if (frame.success) return [frame.data];
    if (at < lines.length - 1) throw corrupt(`holds a line ${at + 1} that is none of its kind`);
    return [];
  });
  return {
    records: frames.flatMap(({ records }) => records.map(opened)),
    fetchResults: frames.flatMap(({ verdicts = [] }) => verdicts),
  };
}

type Stored = z.infer<typeof frameSchema>["records"][number];

function opened(stored: Stored): JournalRecord {
  try {
    return open(stored);
  } catch (error) {
    throw corrupt(`holds a command ${stored.sequence} that cannot be read: ${messageOf(error)}`);
  }
}

function open(stored: Stored): JournalRecord {
  const { envelope, payload, keyId } = "envelope" in stored ? partsOf(stored.envelope) : bare(stored.payload);
  const command = readCommand(payload);
  const { sequence, busEntry, step, epoch, acceptedAtMs, outcome } = stored;
  const named = {
    commandId: command.commandId,
    nonce: toHex(command.nonce),
    issuedAtMs: issuedAtOf(command) ?? 0,
  };
  const record = {
    sequence,
    busEntry,
    step,
    epoch,
    acceptedAtMs,
    outcome,
    ...named,
    envelope,
    payload,
    keyId,
  };
  return record as JournalRecord;
}

function partsOf(text: string): Pick<JournalRecord, "envelope" | "payload" | "keyId"> {
  const envelope = base64Decode(text);
  const parts = decodeEnvelope(envelope);
  if (!parts) throw corrupt("holds what is no command");
  return { envelope, payload: parts.payload, keyId: parts.keyId };
}

function bare(text: string): Pick<JournalRecord, "envelope" | "payload" | "keyId"> {
  return { envelope: new Uint8Array(), payload: base64Decode(text), keyId: "" };
}
