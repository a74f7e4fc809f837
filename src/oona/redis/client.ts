/** The Redis client, loaded when a bus on Redis is asked for: an optional package, which most runs never need. */
import { isIP } from "node:net";
import { KasminaError, messageOf } from "../../base/index.js";

/** How Redis is reached. */
export interface RedisAddress {
  /** `redis://[user[:password]@]host[:port][/database]`, or `rediss://…` for TLS. */
  readonly url: string;
  /** PEM texts, where the server's authority is not among Node's own or it asks clients for a certificate. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** What is used of a client. */
export interface RawClient {
  connect(): Promise<unknown>;
  sendCommand(args: readonly (string | Uint8Array)[]): Promise<unknown>;
  on(event: "error", listener: (error: Error) => void): unknown;
  destroy(): void;
}

export interface ClientLibrary {
  /** A client that is not connected yet, and never connects again by itself. */
  create(address: RedisAddress, name: string): RawClient;
  /** Whether Redis itself said no, rather than the way to it. */
  isReply(error: unknown): boolean;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** @throws KasminaError `unavailable` with what to install, `invalid_argument` for a URL that is none */
export async function loadClientLibrary(): Promise<ClientLibrary> {
  const library = await import("@redis/client").catch((error: unknown) => {
    throw new KasminaError(
      "unavailable",
      "a bus on Redis needs the package @redis/client: npm install @redis/client@6",
      {
        cause: error,
      },
    );
  });
  const { createClient, ErrorReply, RESP_TYPES } = library;
  return {
    create: (address, name) =>
      createClient({
        ...optionsOf(address),
        name,
        RESP: 2,
        disableOfflineQueue: true,
        disableClientInfo: true,
        maintNotifications: "disabled",
        // Zero: no timer a command, which by default costs most of the pipelined throughput. A watchdog looks after all of them.
        commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      }) as unknown as RawClient,
    isReply: (error) => error instanceof ErrorReply,
  };
}

function optionsOf({ url, tls }: RedisAddress) {
  const { protocol, hostname, port, username, password, pathname } = parseRedisUrl(url);
  const database = pathname.length > 1 ? Number(pathname.slice(1)) : 0;
  const named = isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? { servername: hostname } : {};
  const secure = protocol === "rediss:" ? { tls: true as const, ...named, ...tls } : {};
  return {
    socket: {
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? 6379 : Number(port),
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: false as const,
      ...secure,
    },
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(database > 0 && { database }),
  };
}

/** @throws KasminaError `invalid_argument`, which never quotes what may hold a password */
function parseRedisUrl(url: string): URL {
  try {
    const parsed = new URL(url);
    if (/^rediss?:$/.test(parsed.protocol) && parsed.hostname !== "" && /^(\/\d*)?$/.test(parsed.pathname))
      return parsed;
  } catch (error) {
    throw new KasminaError("invalid_argument", `the address of Redis is no URL: ${messageOf(error)}`);
  }
  throw new KasminaError(
    "invalid_argument",
    "the address of Redis must be redis://[user:password@]host[:port][/database], or rediss:// for TLS",
  );
}

/** The address as it may be shown: without user and password. */
export function shownAddress(url: string): string {
  const { protocol, host, pathname } = parseRedisUrl(url);
  return `${protocol}//${host}${pathname}`;
}
