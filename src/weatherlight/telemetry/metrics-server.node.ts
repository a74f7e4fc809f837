/** Where Prometheus scrapes: `GET /metrics`, and nothing else. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import { KasminaError, messageOf } from "../../base/index.js";
import type { PrometheusExporter } from "./prometheus.node.js";

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads host:port, `[…]` around an IPv6 address. A port alone is one of this machine only.
 * @throws KasminaError `invalid_argument` for what is neither
 */
export function parseAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]:|([^:\s[\]]+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 65_535)) throw new KasminaError("invalid_argument", `expected host:port, got ${text}`);
  return { host: bracketed ?? plain ?? "127.0.0.1", port };
}

export interface MetricsServer {
  /** As in a URL: host:port. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves what `exporter` knows.
 * Rejects with KasminaError `invalid_argument` where it cannot listen there.
 */
export async function serveMetrics(
  exporter: PrometheusExporter,
  { host, port }: ListenAddress,
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    void answerMetrics(exporter, host, request, response);
  });
  server.requestTimeout = 5_000;
  server.maxConnections = 32;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new KasminaError("invalid_argument", `cannot listen on ${host}:${port}: ${messageOf(error)}`)),
    );
    server.listen(port, host, resolve);
  });
  server.unref();
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

async function answerMetrics(
  exporter: PrometheusExporter,
  host: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const end = (status: number, text: string, type = "text/plain; charset=utf-8"): void => {
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : text);
  };
  if (request.method !== "GET" && request.method !== "HEAD") return end(405, "GET only\n");
  if (!isOwnName(request.headers.host ?? "", host)) return end(403, "this is not the name of this server\n");
  if (request.url?.split("?")[0] !== "/metrics") return end(404, "there is /metrics\n");
  try {
    end(200, await exporter.render(), exporter.contentType);
  } catch (error) {
    end(500, `${messageOf(error)}\n`);
  }
}

/** A page of the web cannot read what is local by a name of its own that leads here. */
function isOwnName(header: string, host: string): boolean {
  const name = header.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return name === host || name === "localhost" || isIP(name) > 0;
}
