/**
 * What an operator's command line and a running trainer say to each other over the run's local socket: one JSON object
 * a line each way. A command travels as the signed envelope it is; the socket is no more trusted than a bus.
 */

import { z } from "zod";
import { concatBytes, KasminaError, sha256Hex, utf8 } from "../../base/index.js";
import type { CommandOutcome } from "../../contracts/index.js";
import type { RunStatus } from "../grow/ports.js";

/** Longest line: an envelope of 64 KiB in base64, and some. */
export const MAX_LINE_BYTES = 96 * 1024;

/** Where a run's socket is: a file of the run folder, because a socket's path may be about 100 bytes long at most. */
export type ControlAddress = z.infer<typeof controlAddressSchema>;

export const controlAddressSchema = z.object({
  socket: z.string(),
  run_id: z.string(),
  pid: z.int().positive(),
  /** Where the run's folder was, so that a copy of it is known for one. */
  folder: z.object({ path: z.string(), device: z.number(), inode: z.number() }),
});

const requestSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("command"), envelope: z.base64() }),
  z.strictObject({ type: z.literal("status") }),
]);
export type ControlRequest = z.infer<typeof requestSchema>;

/** An outcome bears the run's seal over the command and itself, so that nobody else's answer is taken for the run's. */
export interface SealedOutcome {
  readonly type: "outcome";
  readonly outcome: CommandOutcome;
  readonly key_id: string;
  readonly seal: string;
}

export type ControlResponse =
  | SealedOutcome
  | { readonly type: "status"; readonly status: RunStatus }
  | { readonly type: "error"; readonly message: string };

const responseSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("outcome"),
    outcome: z.object({
      status: z.enum(["applied", "refused", "duplicate", "failed"]),
      reason: z.string().optional(),
      message: z.string().optional(),
      commandId: z.string().optional(),
      seedId: z.string().optional(),
      effectiveStep: z.number().optional(),
    }),
    key_id: z.string(),
    seal: z.string(),
  }),
  z.object({
    type: z.literal("status"),
    status: z.looseObject({
      trainingRunId: z.string(),
      incarnation: z.string().optional(),
      step: z.number(),
    }),
  }),
  z.object({ type: z.literal("error"), message: z.string() }),
]);

/** @throws KasminaError `corrupt` for a line that is no answer of a run */
export function parseResponse(line: string): ControlResponse {
  try {
    return responseSchema.parse(JSON.parse(line)) as ControlResponse;
  } catch {
    throw new KasminaError("corrupt", "what listens there does not answer as a run does");
  }
}

export const OUTCOME_CONTEXT = "kasmina.outcome.v1";

/** What the seal of an outcome is over. */
export function sealedBytes(envelope: Uint8Array, outcome: CommandOutcome): Uint8Array {
  return concatBytes(utf8(sha256Hex(envelope)), utf8(JSON.stringify(outcome, Object.keys(outcome).sort())));
}

/** The request, or what is wrong with the line. */
export function parseRequest(line: string): ControlRequest | { readonly problem: string } {
  try {
    const result = requestSchema.safeParse(JSON.parse(line));
    return result.success ? result.data : { problem: "the request is of no known kind" };
  } catch {
    return { problem: "the request is not JSON" };
  }
}

/** Cuts a stream of bytes into lines. */
export class Lines {
  #rest = "";
  readonly #decoder = new TextDecoder();

  /**
   * The lines that are complete now.
   * @throws KasminaError `overloaded` where a line is longer than {@link MAX_LINE_BYTES}
   */
  push(chunk: Uint8Array): string[] {
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = parts.pop() ?? "";
    if ([this.#rest, ...parts].some((line) => line.length > MAX_LINE_BYTES))
      throw new KasminaError("overloaded", `a line is longer than ${MAX_LINE_BYTES} bytes`);
    return parts.filter((line) => line.trim() !== "");
  }
}
