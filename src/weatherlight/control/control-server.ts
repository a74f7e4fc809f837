/**
 * The run's local socket (owner only): operators send signed commands over it and get their outcomes, and ask for the
 * run's status. It keeps no process alive and touches nothing of the run but its command queue.
 */

import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import {
  lstatIfThere,
  makeTemporaryFolder,
  placeSocket,
  removeFile,
  removeFolderSync,
  writeFileAtomically,
} from "../../base/disk/index.node.js";
import { KasminaError, messageOf, toHex, utf8 } from "../../base/index.js";
import { decodeEnvelope, type Sealer } from "../../contracts/index.js";
import type { RunControl } from "../grow/ports.js";
import {
  type ControlAddress,
  type ControlResponse,
  Lines,
  OUTCOME_CONTEXT,
  parseRequest,
  sealedBytes,
} from "./control-protocol.js";

/** Name of the file in the run folder that says where the socket is. */
export const ADDRESS_FILE = "control.json";
const SOCKET_FILE = "control.sock";
/** sun_path of the common systems holds 104 to 108 bytes. */
const MAX_SOCKET_PATH = 100;
const PRIVATE_PREFIX = ".kasmina-";
const MAX_CONNECTIONS = 16;
/** Commands of one connection that wait for their outcome. */
const MAX_WAITING = 64;
/** A connection on which nothing happens, and whose commands are all answered, is ended after this. */
const IDLE_MS = 30_000;
/** Answers that nobody reads: beyond it the connection is ended. */
const MAX_UNREAD_BYTES = 256 * 1024;

export class ControlServer {
  readonly #server: Server;
  readonly #address: ControlAddress;
  readonly #folder: string;
  readonly #control: RunControl;
  readonly #sealer: Sealer;
  /** The one that was silent for longest first. */
  readonly #connections = new Set<Connection>();

  private constructor({ folder, runId, control, sealer }: ControlServerOptions, socket: string) {
    this.#folder = folder;
    this.#control = control;
    this.#sealer = sealer;
    const stats = lstatIfThere(folder);
    this.#address = {
      socket,
      run_id: runId,
      pid: process.pid,
      folder: { path: folder, device: stats?.dev ?? 0, inode: stats?.ino ?? 0 },
    };
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.unref();
  }

  /**
   * Listens in the run folder.
   * @throws KasminaError `io` where the socket cannot be made
   */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const folder = resolve(options.folder);
    const privately = await privateFolder(folder);
    const isNear = dirname(privately) === folder;
    const at = join(isNear ? folder : privately, SOCKET_FILE);
    const server = new ControlServer({ ...options, folder }, at);
    try {
      await server.#listen(join(privately, SOCKET_FILE));
      return server;
    } catch (error) {
      server.close();
      throw error;
    } finally {
      if (isNear) removeFolderSync(privately);
    }
  }

  get socketPath(): string {
    return this.#address.socket;
  }

  /** Stops listening, ends every connection and removes the socket. */
  close(): void {
    for (const { socket } of this.#connections) socket.destroy();
    this.#server.close();
    for (const path of [join(this.#folder, ADDRESS_FILE), this.#address.socket]) removeFile(path);
    if (dirname(this.#address.socket) !== this.#folder) removeFolderSync(dirname(this.#address.socket));
  }

  async #listen(at: string): Promise<void> {
    const { socket } = this.#address;
    try {
      await new Promise<void>((done, fail) => {
        this.#server.once("error", fail);
        this.#server.listen(at, done);
      });
      // A socket that a killed run left behind gives way to this one.
      await placeSocket(at, socket);
      await writeFileAtomically(join(this.#folder, ADDRESS_FILE), utf8(`${JSON.stringify(this.#address)}\n`));
    } catch (error) {
      throw new KasminaError("io", `control socket ${socket}: ${messageOf(error)}`, { cause: error });
    }
  }

  #serve(socket: Socket): void {
    const lines = new Lines();
    const connection: Connection = { socket, waiting: 0 };
    this.#makeRoom();
    this.#connections.add(connection);
    socket.unref();
    const answer = (response: ControlResponse): void => {
      if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
      else socket.write(`${JSON.stringify(response)}\n`);
    };
    socket.setTimeout(IDLE_MS, () => {
      if (connection.waiting === 0) socket.destroy();
    });
    socket.on("close", () => this.#connections.delete(connection));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      this.#connections.delete(connection);
      this.#connections.add(connection);
      try {
        for (const line of lines.push(chunk)) {
          if (connection.waiting >= MAX_WAITING)
            throw new KasminaError("overloaded", "too many commands are waiting");
          connection.waiting++;
          this.#handle(line, (response) => {
            connection.waiting--;
            answer(response);
          });
        }
      } catch (error) {
        socket.end(`${JSON.stringify({ type: "error", message: messageOf(error) })}\n`);
      }
    });
  }

  /** Whoever holds connections open and says nothing locks nobody out: the one that was silent for longest makes room. */
  #makeRoom(): void {
    if (this.#connections.size < MAX_CONNECTIONS) return;
    const [silent] = [...this.#connections].sort((a, b) => Number(a.waiting > 0) - Number(b.waiting > 0));
    if (!silent) return;
    this.#connections.delete(silent);
    silent.socket.destroy();
  }

  #handle(line: string, answer: (response: ControlResponse) => void): void {
    const request = parseRequest(line);
    if ("problem" in request) answer({ type: "error", message: request.problem });
    else if (request.type === "status") answer({ type: "status", status: this.#control.status() });
    else {
      const envelope = Uint8Array.from(Buffer.from(request.envelope, "base64"));
      this.#control.send(envelope, (outcome) => {
        const keyId = this.#sealingKeyFor(envelope);
        const seal = toHex(this.#sealer.seal(OUTCOME_CONTEXT, sealedBytes(envelope, outcome), keyId));
        answer({ type: "outcome", outcome, key_id: keyId, seal });
      });
    }
  }

  /** The secret that whoever asks has too: the one under which they signed, where it is one. */
  #sealingKeyFor(envelope: Uint8Array): string {
    const signedBy = decodeEnvelope(envelope)?.keyId;
    return signedBy !== undefined && this.#sealer.knows(signedBy) ? signedBy : this.#sealer.keyId;
  }
}

interface Connection {
  readonly socket: Socket;
  /** Commands that wait for their outcome. */
  waiting: number;
}

export interface ControlServerOptions {
  /** Of the run. */
  readonly folder: string;
  readonly runId: string;
  readonly control: RunControl;
  /** Seals outcomes. */
  readonly sealer: Sealer;
}

/**
 * A new folder that nobody else can enter, to make the socket in: between its making and its mode lies a moment. In the run
 * folder where a path in it is short enough for a socket, else in the system's temporary one.
 *
 * @throws KasminaError `io` where that is too long as well: a path that is cut off would lead elsewhere
 */
async function privateFolder(folder: string): Promise<string> {
  for (const parent of [folder, tmpdir()]) {
    const isShort =
      Buffer.byteLength(join(parent, `${PRIVATE_PREFIX}XXXXXX`, SOCKET_FILE)) <= MAX_SOCKET_PATH;
    if (isShort) return makeTemporaryFolder(PRIVATE_PREFIX, parent);
  }
  throw new KasminaError(
    "io",
    `neither ${folder} nor ${tmpdir()} has room for a socket, whose path may be ${MAX_SOCKET_PATH} bytes long; set TMPDIR to a shorter one`,
  );
}
