/**
 * A proxy on 127.0.0.1 between a client and a server: a network that a test can cut, delay, or make lose what goes through it.
 * It stands between two machines where a test has one alone.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #ways = new Set<Way>();
  /** Answers are swallowed from now on, and at the next one its connection is cut. */
  losesAnswers = false;
  /** How much later everything arrives, in ms, either way. */
  delayMs = 0;
  #partitioned = false;
  #target: number;

  static async open(target: number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TcpProxy(server, target);
  }

  private constructor(server: Server, target: number) {
    this.#target = target;
    this.#server = server;
    server.on("connection", (client) => this.#join(client));
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Ends all connections, which both sides learn of. */
  cut(): void {
    for (const way of this.#ways) way.end();
  }

  /**
   * The network drops all packets until it is healed: nobody learns of it, connections stay open, new ones come about and lead
   * nowhere. What was in it then is lost for good, and the connections with it, as behind a router that forgot them.
   */
  partition(): void {
    this.#partitioned = true;
    for (const way of this.#ways) way.isDead = true;
  }

  heal(): void {
    this.#partitioned = false;
  }

  /** Ends all connections; who comes back reaches another server. */
  retarget(port: number): void {
    this.#target = port;
    this.cut();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(client: Socket): void {
    const server = this.#partitioned ? undefined : connect(this.#target, "127.0.0.1");
    const way = new Way(client, server, this.#partitioned, () => this.#ways.delete(way));
    this.#ways.add(way);
    client.on("data", (data) => way.pass(data, server, this.delayMs));
    server?.on("data", (data) => {
      if (this.losesAnswers) way.end();
      else way.pass(data, client, this.delayMs);
    });
  }
}

/** One connection, and the one it goes on by. */
class Way {
  readonly #client: Socket;
  readonly #server: Socket | undefined;
  readonly #onEnd: () => void;
  /** Nothing goes through it any more, and nobody is told. */
  isDead: boolean;

  constructor(client: Socket, server: Socket | undefined, isDead: boolean, onEnd: () => void) {
    this.#client = client;
    this.#server = server;
    this.isDead = isDead;
    this.#onEnd = onEnd;
    const end = (): void => this.end();
    client.on("error", end).on("close", end);
    // A server that ends a connection tells a client that cannot be reached nothing.
    const fromServer = (): void => {
      if (!this.isDead) this.end();
    };
    server?.on("error", fromServer).on("close", fromServer);
  }

  pass(data: Buffer, to: Socket | undefined, delayMs: number): void {
    const send = (): void => {
      if (!this.isDead && to?.writable) to.write(data);
    };
    if (delayMs === 0) send();
    else setTimeout(send, delayMs);
  }

  end(): void {
    this.#client.destroy();
    this.#server?.destroy();
    this.#onEnd();
  }
}
