/**
 * What every service is: a process that says how it is (`/healthz`: it runs; `/readyz`: it can work; `/status`: in
 * figures; `/metrics`: to Prometheus), and that ends in order.
 */
import type { HttpServer, ListenAddress } from "../telemetry/http-address.js";
import { type Answer, jsonAnswer, serveHttp } from "../telemetry/http-server.node.js";

/** A service, however it came up. */
export interface Service {
  readonly name: string;
  /** Why it cannot work now; undefined where it can. */
  problem(): string | undefined;
  /** Figures, for people and for `/status`. */
  status(): Readonly<Record<string, unknown>>;
  /** For Prometheus; left out where there is nothing of its own to show. */
  metrics?(): Promise<Answer>;
  /** Takes nothing more, ends what is in hand or gives it back. */
  close(): Promise<void>;
}

/** Longest wait for a service to end. */
const CLOSE_MS = 10_000;

/** Serves `/healthz`, `/readyz`, `/status`, and `/metrics` where there are some. Rejects as {@link serveHttp} does. */
export function serveHealth(service: Service, address: ListenAddress): Promise<HttpServer> {
  const { name, metrics } = service;
  return serveHttp(
    {
      "/healthz": () => jsonAnswer({ service: name, healthy: true }),
      "/readyz": () => {
        const problem = service.problem();
        return problem === undefined
          ? jsonAnswer({ service: name, ready: true })
          : jsonAnswer({ service: name, ready: false, problem }, 503);
      },
      "/status": () => jsonAnswer({ service: name, ...service.status() }),
      ...(metrics && { "/metrics": () => metrics.call(service) }),
    },
    address,
  );
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
