/**
 * The run's local socket (owner only): operators send signed commands over it and hear their outcomes, and ask for the
 * run's status. It keeps no process alive and touches nothing of the run but its command queue.
 */

import { chmodSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { KasminaError, messageOf } from "../../base/index.js";
import type { RunControl } from "../grow/ports.js";
import { type ControlAddress, type ControlResponse, Lines, parseRequest } from "./control-protocol.js";

/** Name of the file in the run folder that says where the socket is. */
export const ADDRESS_FILE = "control.json";
const SOCKET_FILE = "control.sock";
const OWNER_ONLY = 0o600;
/** sun_path of the common systems holds 104 to 108 bytes. */
const MAX_SOCKET_PATH = 100;
const MAX_CONNECTIONS = 16;
/** Commands of one connection that wait for their outcome. */
const MAX_WAITING = 64;

export class ControlServer {
  readonly #server: Server;
  readonly #address: ControlAddress;
  readonly #folder: string;
  readonly #control: RunControl;
  readonly #connections = new Set<Socket>();

  private constructor(folder: string, runId: string, control: RunControl) {
    this.#folder = folder;
    this.#control = control;
    this.#address = { socket: socketPath(folder), run_id: runId, pid: process.pid };
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.unref();
  }

  /**
   * Listens in the run folder.
   * @throws KasminaError `io` where the socket cannot be made
   */
  static async listen(runFolder: string, runId: string, control: RunControl): Promise<ControlServer> {
    const server = new ControlServer(resolve(runFolder), runId, control);
    await server.#listen();
    return server;
  }

  get socketPath(): string {
    return this.#address.socket;
  }

  /** Stops listening, ends every connection and removes the socket. */
  close(): void {
    for (const socket of this.#connections) socket.destroy();
    this.#server.close();
    for (const path of [join(this.#folder, ADDRESS_FILE), this.#address.socket])
      rmSync(path, { force: true });
    if (dirname(this.#address.socket) !== this.#folder)
      rmSync(dirname(this.#address.socket), { recursive: true, force: true });
  }

  async #listen(): Promise<void> {
    const { socket } = this.#address;
    try {
      removeStale(socket);
      await new Promise<void>((done, fail) => {
        this.#server.once("error", fail);
        this.#server.listen(socket, done);
      });
      chmodSync(socket, OWNER_ONLY);
      writeFileSync(join(this.#folder, ADDRESS_FILE), `${JSON.stringify(this.#address)}\n`, {
        mode: OWNER_ONLY,
      });
    } catch (error) {
      this.#server.close();
      throw new KasminaError("io", `control socket ${socket}: ${messageOf(error)}`, { cause: error });
    }
  }

  #serve(socket: Socket): void {
    const lines = new Lines();
    let waiting = 0;
    this.#connections.add(socket);
    socket.unref();
    const answer = (response: ControlResponse): void => void socket.write(`${JSON.stringify(response)}\n`);
    socket.on("close", () => this.#connections.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      try {
        for (const line of lines.push(chunk)) {
          if (waiting >= MAX_WAITING) throw new KasminaError("overloaded", "too many commands are waiting");
          waiting++;
          this.#handle(line, (response) => {
            waiting--;
            answer(response);
          });
        }
      } catch (error) {
        socket.end(`${JSON.stringify({ type: "error", message: messageOf(error) })}\n`);
      }
    });
  }

  #handle(line: string, answer: (response: ControlResponse) => void): void {
    const request = parseRequest(line);
    if ("problem" in request) answer({ type: "error", message: request.problem });
    else if (request.type === "status") answer({ type: "status", status: this.#control.status() });
    else {
      const envelope = Uint8Array.from(Buffer.from(request.envelope, "base64"));
      this.#control.send(envelope, (outcome) => answer({ type: "outcome", outcome }));
    }
  }
}

/** In the run folder where its path is short enough, else in a private folder of the system's temporary one. */
function socketPath(folder: string): string {
  const path = join(folder, SOCKET_FILE);
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH
    ? path
    : join(mkdtempSync(join(tmpdir(), "kasmina-")), SOCKET_FILE);
}

/** A socket that a killed run left behind would keep the next one from listening. */
function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
