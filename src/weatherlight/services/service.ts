/**
 * What every service is: a process that says how it is (`/healthz`: it runs; `/readyz`: it can work; `/status`: in
 * figures; `/metrics`: to Prometheus), and that ends in order.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KasminaError, messageOf } from "../../base/index.js";

/** A service, however it came up. */
export interface Service {
  readonly name: string;
  /** Why it cannot work now; undefined where it can. */
  problem(): string | undefined;
  /** Figures, for people and for `/status`. */
  status(): Readonly<Record<string, unknown>>;
  /** For Prometheus; left out where there is nothing of its own to show. */
  metrics?(): Promise<string>;
  /** Takes nothing more, ends what is in hand or gives it back. */
  close(): Promise<void>;
}

/** Of Prometheus' text format. */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** Longest wait for a service to end. */
const CLOSE_MS = 10_000;

/** Serves what there is under each path. @returns what ends it, and where it listens */
export async function serveHealth(
  service: Service,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD")
      return answer(response, 405, { error: "GET only" });
    void answerPath(service, request.url ?? "/", response);
  });
  server.requestTimeout = 5_000;
  await listen(server, host, port);
  const bound = server.address() as AddressInfo;
  return {
    address: `${host.includes(":") ? `[${host}]` : host}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerPath(service: Service, path: string, response: ServerResponse): Promise<void> {
  if (path === "/metrics" && service.metrics) {
    response.writeHead(200, { "content-type": METRICS_TYPE, "cache-control": "no-store" });
    response.end(await service.metrics());
    return;
  }
  const { name } = service;
  const problem = service.problem();
  const answers: Readonly<Record<string, () => readonly [status: number, body: unknown]>> = {
    "/healthz": () => [200, { service: name, healthy: true }],
    "/readyz": () =>
      problem === undefined
        ? [200, { service: name, ready: true }]
        : [503, { service: name, ready: false, problem }],
    "/status": () => [200, { service: name, ...service.status() }],
  };
  const [status, body] = answers[path]?.() ?? [404, { error: "there are /healthz, /readyz and /status" }];
  answer(response, status, body);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new KasminaError("invalid_argument", `cannot listen on ${host}:${port}: ${messageOf(error)}`)),
    );
    server.listen(port, host, resolve);
  });
}

/** Ends a service, however long it would take by itself. @returns whether it ended in order */
export async function closeInTime(service: Service, limitMs = CLOSE_MS): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const done = service.close().then(
    () => true,
    () => false,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
