/** The operator's end of a run's local socket: finds the run, signs, sends, waits for the outcome. */

import { randomUUID } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { codeOf, lstatIfThere, parseJsonFile, readRegularSync } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, systemClock } from "../../base/index.js";
import {
  advanceFrom,
  type CommandDraft,
  type CommandOutcome,
  CommandSigner,
  type KeyRing,
  Sealer,
} from "../../contracts/index.js";
import { loadKeys } from "../../contracts/index.node.js";
import { RUN_FILE } from "../folder/run-folder.js";
import type { RunStatus } from "../grow/ports.js";
import {
  type ControlAddress,
  type ControlRequest,
  type ControlResponse,
  controlAddressSchema,
  Lines,
  OUTCOME_CONTEXT,
  parseResponse,
  type SealedOutcome,
  sealedBytes,
} from "./control-protocol.js";
import { ADDRESS_FILE } from "./control-server.js";
import { keyFileOf } from "./run-keys.js";

/** Of the files that say where a run is: run.json of a wide table is the largest. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Longest wait for an answer: a step boundary comes at least that often, a first compile included. */
const ANSWER_WITHIN_MS = 60_000;

/** What connecting to the socket of a run that has ended fails with. */
const NOBODY_LISTENS: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOENT"]);

/** What an operator orders; who, when and with which nonce is added here. */
export type OperatorOrder = Pick<CommandDraft, "order" | "seedId" | "slotId" | "expectedStage" | "decision">;

/**
 * The newest run under `runs/` that listens: one that was killed leaves its address behind, and a copy of a folder has that of the
 * original.
 * @throws KasminaError `invalid_argument` where there is none
 */
export async function newestRun(runsFolder = "runs"): Promise<string> {
  const runs = foldersOf(runsFolder).flatMap((folder) => {
    const address = readAddress(folder);
    return address ? [{ folder, address, atMs: modifiedMs(folder) }] : [];
  });
  for (const { folder, address } of runs.sort((a, b) => b.atMs - a.atMs))
    if (await listens(address)) return folder;
  throw new KasminaError(
    "invalid_argument",
    `no run is going on under ${runsFolder}/: name one with --run-dir`,
  );
}

/** Whether the run of a folder goes on and can be commanded. */
export async function isGoingOn(runFolder: string): Promise<boolean> {
  const address = readAddress(resolve(runFolder));
  return address !== undefined && listens(address);
}

/**
 * The order to ask the next gate to admit a seed.
 * @throws KasminaError `invalid_argument` where there is no such seed, or nothing to advance to
 */
export async function advanceOrder(runFolder: string, seedId: string): Promise<OperatorOrder> {
  const { seeds } = await readStatus(runFolder);
  const seed = seeds.find(({ id }) => id === seedId);
  if (!seed) {
    const known = seeds.map(({ id }) => id).join(", ") || "none";
    throw new KasminaError("invalid_argument", `the run has no seed ${seedId}; it has ${known}`);
  }
  const next = advanceFrom(seed.stage);
  // To keep a seed for good is an operation of its own.
  if (!next || next.operation === "FOSSILIZE")
    throw new KasminaError(
      "invalid_argument",
      `seed ${seedId} is ${seed.stage}: there is nothing to advance to`,
    );
  return { order: { kind: "SEED", operation: next.operation }, seedId, expectedStage: seed.stage };
}

function listens({ socket: path }: ControlAddress): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const end = (is: boolean): void => {
      socket.destroy();
      done(is);
    };
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}

/** Sends one signed command to the run of a folder and resolves with its outcome. */
export async function sendCommand(runFolder: string, what: OperatorOrder): Promise<CommandOutcome> {
  const address = addressOf(runFolder);
  const { incarnation } = await statusOf(address);
  const keys = loadKeys(keyFileOf(runFolder));
  const signer = new CommandSigner({ keys, clock: systemClock });
  const envelope = signer.sign({
    ...what,
    commandId: `operator-${randomUUID()}`,
    trainingRunId: address.run_id,
    ...(incarnation !== undefined && { incarnation }),
    issuedBy: keys.active.issuer ?? operatorName(),
  });
  const response = await ask(address, {
    type: "command",
    envelope: Buffer.from(envelope).toString("base64"),
  });
  if (response.type !== "outcome") throw unexpected(response);
  checkSeal(keys, address.run_id, envelope, response);
  return response.outcome;
}

/**
 * The answer to a command under a secret bears a seal under that secret. Whoever signs with an Ed25519 pair shares none with the run,
 * and has only that the socket is this account's.
 */
function checkSeal(
  keys: KeyRing,
  runId: string,
  envelope: Uint8Array,
  { outcome, key_id, seal }: SealedOutcome,
): void {
  const sealer = new Sealer(keys, runId);
  if (!sealer.knows(keys.activeId)) return;
  const isOurs = key_id === keys.activeId;
  if (isOurs && sealer.holds(OUTCOME_CONTEXT, sealedBytes(envelope, outcome), key_id, seal)) return;
  throw new KasminaError(
    "corrupt",
    "the answer does not bear the run's seal: what listens there is not the run, so nothing is known of the command",
  );
}

/** Who orders what this account orders. A user may have no name: in a container that is started with a number alone. */
export function operatorName(): string {
  try {
    return `operator ${userInfo().username}`;
  } catch {
    return `operator uid ${process.getuid?.() ?? "unknown"}`;
  }
}

export async function readStatus(runFolder: string): Promise<RunStatus> {
  return statusOf(addressOf(runFolder));
}

async function statusOf(address: ControlAddress): Promise<RunStatus> {
  const response = await ask(address, { type: "status" });
  if (response.type === "status") return response.status;
  throw unexpected(response);
}

function unexpected(response: ControlResponse): KasminaError {
  const what = response.type === "error" ? response.message : `it answered with ${response.type}`;
  return new KasminaError("illegal_state", `the run did not do it: ${what}`);
}

function ask(address: ControlAddress, request: ControlRequest): Promise<ControlResponse> {
  return new Promise((done, fail) => {
    const socket = connect(address.socket);
    const lines = new Lines();
    let sent = false;
    const end = (error: KasminaError): void => {
      socket.destroy();
      fail(error);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () =>
      end(new KasminaError("timeout", `the run did not answer within ${ANSWER_WITHIN_MS / 1_000} s`)),
    );
    socket.on("connect", () => {
      sent = true;
      socket.write(`${JSON.stringify(request)}\n`);
    });
    socket.on("error", (error) => {
      if (!sent && NOBODY_LISTENS.has(codeOf(error))) return end(noRunIn(address.folder.path));
      // What nobody has got is wrong use of the command line; what somebody may have got is a failure.
      end(new KasminaError(sent ? "io" : "invalid_argument", `cannot reach the run: ${messageOf(error)}`));
    });
    socket.on("close", () => end(new KasminaError("canceled", "the run ended before it answered")));
    socket.on("data", (chunk) => {
      const [line] = lines.push(chunk);
      if (line === undefined) return;
      socket.destroy();
      try {
        done(parseResponse(line));
      } catch (error) {
        fail(error);
      }
    });
  });
}

/** @throws KasminaError `invalid_argument` where no run listens there */
function addressOf(runFolder: string): ControlAddress {
  const address = readAddress(resolve(runFolder));
  if (!address) throw noRunIn(resolve(runFolder));
  return address;
}

function noRunIn(folder: string): KasminaError {
  return new KasminaError("invalid_argument", `no run is going on in ${folder}`);
}

/**
 * The address that a process left in a run folder; undefined where there is none, or it is that of the folder's original. A folder that
 * somebody else made, or whose address is of another run than its run.json, is believed in nothing.
 */
function readAddress(folder: string): ControlAddress | undefined {
  try {
    const address = readOwn(join(folder, ADDRESS_FILE), controlAddressSchema);
    const { run_id } = readOwn(join(folder, RUN_FILE), runSchema);
    return address.run_id === run_id && isOwnSocket(address.socket) && isOf(folder, address)
      ? address
      : undefined;
  } catch {
    return undefined;
  }
}

const runSchema = z.looseObject({ run_id: z.string() });

/** A small file that this account wrote. */
function readOwn<T>(path: string, schema: z.ZodType<T>): T {
  if (!isOwn(path)) throw new KasminaError("corrupt", `${path} is somebody else's`);
  return parseJsonFile(path, readRegularSync(path, { maxBytes: MAX_BYTES }), schema);
}

function isOwn(path: string): boolean {
  const uid = process.getuid?.();
  return uid === undefined || lstatIfThere(path)?.uid === uid;
}

function isOwnSocket(path: string): boolean {
  return isOwn(path) && (process.platform === "win32" || lstatIfThere(path)?.isSocket() === true);
}

/** A folder that was moved is still the same. */
function isOf(path: string, { folder }: ControlAddress): boolean {
  const here = statSync(path);
  return folder.path === path || (here.ino === folder.inode && here.dev === folder.device);
}

function foldersOf(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => resolve(folder, name));
  } catch {
    return [];
  }
}

function modifiedMs(folder: string): number {
  return statSync(join(folder, ADDRESS_FILE)).mtimeMs;
}
