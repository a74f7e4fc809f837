/** A proxy on 127.0.0.1 between a client and a server, which a test can cut or make lose what the server answers. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  /** Answers are swallowed from now on, and at the next one its connection is cut. */
  losesAnswers = false;
  #target: number;

  static async open(target: number): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new TcpProxy(server, sockets, target);
    server.on("connection", (client) => proxy.#join(client, connect(proxy.#target, "127.0.0.1")));
    return proxy;
  }

  private constructor(server: Server, sockets: Set<Socket>, target: number) {
    this.#target = target;
    this.#server = server;
    this.#sockets = sockets;
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Ends all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
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

  #join(client: Socket, server: Socket): void {
    const both = [client, server];
    const end = (): void => {
      for (const socket of both) {
        socket.destroy();
        this.#sockets.delete(socket);
      }
    };
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on("error", end).on("close", end);
    }
    client.on("data", (data) => server.write(data));
    server.on("data", (data) => {
      if (this.losesAnswers) end();
      else client.write(data);
    });
  }
}
