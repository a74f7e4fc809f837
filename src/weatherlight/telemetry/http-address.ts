/** Where the small HTTP servers listen, for whoever starts one and ends it. */
import { KasminaError } from "../../base/index.js";

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

export interface HttpServer {
  /** As in a URL: host:port. */
  readonly address: string;
  close(): Promise<void>;
}
