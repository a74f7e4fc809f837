/** A Redis of a test's own, on a free port of 127.0.0.1 and in a temporary folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findTool } from "../base/tools.fixture.js";

export const redisServer = findTool("redis", ["redis-server"]);

const START_MS = 20_000;

export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #args: string[];
  #child: ChildProcess | undefined;

  /** @param settings as on the command line of redis-server; `port` is chosen */
  static async start(settings: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), settings);
    await server.up();
    return server;
  }

  /** One that speaks TLS alone. */
  static async startTls(settings: readonly string[]): Promise<RedisServer> {
    const port = await freePort();
    const server = new RedisServer(port, ["--port", "0", "--tls-port", String(port), ...settings]);
    await server.up();
    return server;
  }

  /** One whose users are those of an ACL file. @param users the file's text */
  static async startWithUsers(users: string, settings: readonly string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), settings);
    const file = server.write("users.acl", users);
    server.#args.push("--aclfile", file);
    await server.up();
    return server;
  }

  private constructor(port: number, settings: readonly string[]) {
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), "kasmina-redis-"));
    const common = [
      "--bind",
      "127.0.0.1",
      "--dir",
      this.folder,
      "--save",
      "",
      "--maxmemory-policy",
      "noeviction",
    ];
    const own = settings.includes("--port") ? [] : ["--port", String(port)];
    this.#args = [...common, ...own, ...settings];
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Writes a file into the server's folder. @returns its path */
  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  async up(): Promise<void> {
    this.#child = spawn(redisServer ?? "redis-server", [...this.#args], { stdio: "ignore" });
    const until = Date.now() + START_MS;
    while (!(await answers(this.port))) {
      if (Date.now() > until || this.#child.exitCode !== null) throw new Error("redis-server did not start");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** As a machine that loses its power. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Frozen: its sockets stay open and nothing answers. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** One command, by an inline request; the raw reply. */
  async command(line: string): Promise<string> {
    const socket = connect(this.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(`${line}\r\n`);
    const [data] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return data.toString();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
