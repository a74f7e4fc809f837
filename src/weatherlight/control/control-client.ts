/** The operator's end of a run's local socket: finds the run, signs, sends, waits for the outcome. */

import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { codeOf } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, systemClock } from "../../base/index.js";
import { type CommandDraft, type CommandOutcome, CommandSigner } from "../../contracts/index.js";
import { loadKeys } from "../../contracts/index.node.js";
import type { RunStatus } from "../grow/ports.js";
import {
  type ControlAddress,
  type ControlRequest,
  type ControlResponse,
  controlAddressSchema,
  Lines,
} from "./control-protocol.js";
import { ADDRESS_FILE } from "./control-server.js";
import { keyFileOf } from "./run-keys.js";

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
  const signer = new CommandSigner({ keys: loadKeys(keyFileOf(runFolder)), clock: systemClock });
  const envelope = signer.sign({
    ...what,
    commandId: `operator-${randomUUID()}`,
    trainingRunId: address.run_id,
    issuedBy: `operator ${userName()}`,
  });
  const response = await ask(address, {
    type: "command",
    envelope: Buffer.from(envelope).toString("base64"),
  });
  if (response.type === "outcome") return response.outcome;
  throw unexpected(response);
}

/** A user may have no name: in a container that is started with a number alone. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

export async function readStatus(runFolder: string): Promise<RunStatus> {
  const response = await ask(addressOf(runFolder), { type: "status" });
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
      done(JSON.parse(line) as ControlResponse);
      socket.destroy();
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

/** The address that a process left in a run folder; undefined where there is none, or it is that of the folder's original. */
function readAddress(folder: string): ControlAddress | undefined {
  try {
    const address = controlAddressSchema.parse(JSON.parse(readFileSync(join(folder, ADDRESS_FILE), "utf8")));
    return isOf(folder, address) ? address : undefined;
  } catch {
    return undefined;
  }
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
