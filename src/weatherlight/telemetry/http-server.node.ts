/** The small HTTP servers of runs and services: `GET` of a few paths, for whoever watches. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import { KasminaError, messageOf } from "../../base/index.js";
import type { HttpServer, ListenAddress } from "./http-address.js";

export interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly type: string;
  readonly text: string;
}

export function jsonAnswer(body: unknown, status = 200): Answer {
  return { status, type: "application/json", text: `${JSON.stringify(body)}\n` };
}

/** What there is under each path. */
export type Paths = Readonly<Record<string, () => Answer | Promise<Answer>>>;

const MAX_CONNECTIONS = 64;
const REQUEST_MS = 5_000;

/**
 * Serves what is under each path, until it is closed. What an answer throws is answered with 500.
 * Rejects with KasminaError `invalid_argument` where it cannot listen there.
 */
export function serveHttp(paths: Paths, address: ListenAddress): Promise<HttpServer> {
  return listenHttp(async (request, response) => {
    const { status = 200, type, text } = await answerOf(paths, address.host, request);
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : text);
  }, address);
}

/**
 * Listens until it is closed. Rejects with KasminaError `invalid_argument` where it cannot.
 * @param handle must not reject
 */
export async function listenHttp(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  { host, port }: ListenAddress,
): Promise<HttpServer> {
  const server = createServer(handle);
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new KasminaError("invalid_argument", `cannot listen on ${host}:${port}: ${messageOf(error)}`)),
    );
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    address: `${host.includes(":") ? `[${host}]` : host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Never rejects. */
async function answerOf(paths: Paths, host: string, request: IncomingMessage): Promise<Answer> {
  const { method, headers, url = "/" } = request;
  if (method !== "GET" && method !== "HEAD") return jsonAnswer({ error: "GET only" }, 405);
  if (!isOwnName(headers.host ?? "", host))
    return jsonAnswer({ error: "this is not the name of this server" }, 403);
  const path = url.split("?")[0] ?? "/";
  const answer = Object.hasOwn(paths, path) ? paths[path] : undefined;
  if (!answer) return jsonAnswer({ error: `there are ${Object.keys(paths).join(", ")}` }, 404);
  try {
    return await answer();
  } catch (error) {
    return jsonAnswer({ error: messageOf(error) }, 500);
  }
}

/**
 * Whether a request names this server as it is called: what listens on this machine alone is not read by a page of the web under a name of
 * its own that leads here. Elsewhere a server has names that it does not know.
 */
export function isOwnName(header: string, host: string): boolean {
  if (!isLoopback(host)) return true;
  const name = header.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === host || name === "localhost" || isIP(name) > 0;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
