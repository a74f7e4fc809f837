/**
 * The dashboard's server. It reads the runs of one folder, streams their lines, and hands what is ordered from its page to a run.
 *
 * Whoever reaches it may look; whoever orders must know the token that was printed where it was started. A request under another name
 * (Host), or from another page (Origin), is refused.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { readRegular } from "../../base/disk/index.node.js";
import { KasminaError, messageOf, sha256Hex, utf8 } from "../../base/index.js";
import type { Look, StepWindow } from "../report/charts.js";
import type { HttpServer, ListenAddress } from "../telemetry/http-address.js";
import { isOwnName, jsonAnswer, listenHttp } from "../telemetry/http-server.node.js";
import { carryOut, parseAction } from "./actions.js";
import { type ComparedRun, compareBody, lastStepOf } from "./compare.js";
import {
  type Alert,
  alertsBody,
  alertsPage,
  comparePage,
  DASHBOARD_STYLE,
  type RunView,
  runBody,
  runPage,
  runsPage,
} from "./pages.js";
import { readRunbook } from "./runbook.node.js";
import { RunsFolder, type WatchedFolder } from "./runs.node.js";
import { COMPARED_MAX, runsTable } from "./runs-table.js";

export interface Dashboard extends HttpServer {
  /** What commands are ordered with. */
  readonly token: string;
  /** Where to look; with the token behind `#`, which no browser sends. */
  readonly url: string;
}

export interface DashboardOptions extends ListenAddress {
  /** Of runs, or of one run. */
  readonly folder: string;
  /** Between two looks for new lines, in milliseconds. Default 500. */
  readonly pollMs?: number;
}

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/** Of an answer that is a drawing: how long its reader should wait before it asks for the next one, in milliseconds. */
const REDRAW_AFTER = "x-redraw-after-ms";
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;
/** The scripts of the page, by their path: those of this build. */
const SCRIPTS: Readonly<Record<string, string>> = {
  "/assets/dashboard/client.js": "./client.js",
  "/assets/report/crosshair.js": "../report/crosshair.js",
};
const MAX_SCRIPT_BYTES = 256 * 1024;
const MAX_BODY_BYTES = 4 * 1024;
/** Lines that go out in one write. */
const LINES_A_WRITE = 500;
/** Without a line for so long, a stream says that it is there. */
const KEEP_ALIVE_MS = 15_000;
/** Of the newest runs, and of the alerts that are listed. */
const [ALERT_RUNS, ALERTS_SHOWN] = [16, 200];
const MAX_SMOOTHING = 0.99;
/** A page that follows a run has it drawn for about a hundredth of the time: next after so many times what the last drawing took, within these bounds. */
const [PAUSE_IN_DRAWINGS, REDRAW_LEAST_MS, REDRAW_MOST_MS] = [100, 700, 2_000];

interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly text: string;
  /** For who goes on following. */
  readonly redrawAfterMs?: number;
}

/** Serves until it is closed. Rejects with KasminaError `invalid_argument` where it cannot listen, or there is no such folder. */
export async function serveDashboard({
  folder,
  pollMs = 500,
  ...address
}: DashboardOptions): Promise<Dashboard> {
  const token = randomBytes(24).toString("base64url");
  const runs = new RunsFolder(folder);
  const site = new Site(runs, token, pollMs);
  const server = await listenHttp(
    (request, response) => site.handle(request, response, address.host),
    address,
  );
  return { ...server, token, url: `http://${server.address}/#token=${token}` };
}

class Site {
  readonly #runs: RunsFolder;
  readonly #token: string;
  readonly #pollMs: number;

  constructor(runs: RunsFolder, token: string, pollMs: number) {
    this.#runs = runs;
    this.#token = token;
    this.#pollMs = pollMs;
  }

  async handle(request: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
    try {
      const answer = refusalOf(request, host) ?? (await this.#answer(request, response));
      if (answer) send(request, response, answer);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else send(request, response, problem(error));
    }
  }

  /** Undefined where the answer goes out as it comes. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Page | undefined> {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://dashboard");
    const [, first = "", name = "", part = ""] = pathname.split("/").map(decoded);
    if (first === "runs") {
      const run = await this.#runs.find(name);
      if (!run) return NOT_FOUND;
      return this.#runAnswer(run, { name, part, query }, request, response);
    }
    if (request.method === "POST") return NOT_FOUND;
    const page = PAGES[pathname];
    return page ? page(this.#runs, query) : ((await script(pathname)) ?? NOT_FOUND);
  }

  async #runAnswer(
    run: WatchedFolder,
    { name, part, query }: { readonly name: string; readonly part: string; readonly query: URLSearchParams },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Page | undefined> {
    if (part === "act") return this.#act(run, request);
    if (request.method === "POST") return NOT_FOUND;
    const write = STREAMS[part];
    if (write) {
      await this.#stream(run, request, response, { query, write });
      return undefined;
    }
    if (part !== "" && part !== "view") return NOT_FOUND;
    const startMs = performance.now();
    const view = await viewOf(run, name, query);
    const text = part === "view" ? runBody(view) : runPage(view);
    const wantedMs = PAUSE_IN_DRAWINGS * (performance.now() - startMs);
    return { text, redrawAfterMs: Math.min(REDRAW_MOST_MS, Math.max(REDRAW_LEAST_MS, wantedMs)) };
  }

  async #act(run: WatchedFolder, request: IncomingMessage): Promise<Page> {
    if (request.method !== "POST") return json({ error: "POST only" }, 405);
    if (!this.#knows(request.headers["x-kasmina-token"]))
      return json({ error: "the token is missing or wrong: open the address that was printed" }, 401);
    const body = await bodyOf(request);
    if (body === undefined) return json({ error: "the request is too long" }, 413);
    return json(await carryOut(run.path, parseAction(body)));
  }

  /** In constant time, whatever the length. */
  #knows(token: string | string[] | undefined): boolean {
    const digest = (text: string): Uint8Array => utf8(sha256Hex(utf8(text)));
    return timingSafeEqual(digest(typeof token === "string" ? token : ""), digest(this.#token));
  }

  /** Server-sent events, as long as somebody listens. @param write what goes out of the lines that are there, after those that have gone */
  async #stream(
    run: WatchedFolder,
    request: IncomingMessage,
    response: ServerResponse,
    { query, write }: { readonly query: URLSearchParams; readonly write: LineWriter },
  ): Promise<void> {
    let sent = countOf(request.headers["last-event-id"] ?? query.get("after"));
    let quietMs = 0;
    response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
    response.flushHeaders();
    while (!response.destroyed) {
      const lines = await run.lines();
      // What was read again from its beginning has fewer lines.
      const before = Math.min(sent, lines.length);
      const { text, upTo } = write(lines, before);
      if (upTo > before) await written(response, text);
      else if (quietMs >= KEEP_ALIVE_MS) await written(response, ": here\n\n");
      quietMs = upTo > before || quietMs >= KEEP_ALIVE_MS ? 0 : quietMs + this.#pollMs;
      sent = upTo;
      if (upTo === lines.length) await pause(response, this.#pollMs);
    }
  }
}

type LineWriter = (
  lines: readonly string[],
  sent: number,
) => { readonly text: string; readonly upTo: number };

/** What a run streams, by the last part of the path. */
const STREAMS: Readonly<Record<string, LineWriter | undefined>> = Object.assign(Object.create(null), {
  /** A line of events.ndjson each, its number from 1 as the id. */
  lines: (lines, sent) => {
    const next = lines.slice(sent, sent + LINES_A_WRITE);
    const events = next.map((line, i) => `id: ${sent + i + 1}\ndata: ${line}\n\n`);
    return { text: events.join(""), upTo: sent + next.length };
  },
  /** How many lines there are, whenever there are more: for who has the server draw. */
  count: ({ length }) => ({ text: `id: ${length}\ndata: ${length}\n\n`, upTo: length }),
} satisfies Record<string, LineWriter>);

/** A number of lines; 0 for what is none. */
function countOf(text: string | string[] | null): number {
  return (typeof text === "string" ? wholeNumber(text) : undefined) ?? 0;
}

/** Waits where the other end is slow; ends where it is gone. */
async function written(response: ServerResponse, text: string): Promise<void> {
  if (response.write(text) || response.destroyed) return;
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(response, "drain", { signal }), once(response, "close", { signal })]);
  over.abort();
}

function pause(response: ServerResponse, ms: number): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      response.off("close", end);
      done();
    }
    response.once("close", end);
  });
}

/** What is read by other pages and other names, or is neither looked at nor ordered, is refused. */
function refusalOf({ method = "", headers }: IncomingMessage, host: string): Page | undefined {
  if (!isOwnName(headers.host ?? "", host))
    return json({ error: "this is not the name of this server" }, 403);
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`)
    return json({ error: "another page may not ask here" }, 403);
  return ["GET", "HEAD", "POST"].includes(method) ? undefined : json({ error: "GET and POST only" }, 405);
}

type PageMaker = (runs: RunsFolder, query: URLSearchParams) => Page | Promise<Page>;

const PAGES: Readonly<Record<string, PageMaker | undefined>> = Object.assign(Object.create(null), {
  "/": async (runs, query) => ({ text: runsPage(await runs.rows(), query) }),
  "/view": async (runs, query) => ({ text: runsTable(await runs.rows(), query) }),
  "/alerts": async (runs) => ({ text: alertsPage(await alertsOf(runs), await readRunbook()) }),
  "/alerts/view": async (runs) => ({ text: alertsBody(await alertsOf(runs), await readRunbook()) }),
  "/compare": async (runs, query) => {
    const compared = await chosen(runs, query);
    return { text: comparePage(compared, lookOf(query, lastStepOf(compared))) };
  },
  "/compare/view": async (runs, query) => {
    const compared = await chosen(runs, query);
    return { text: compareBody(compared, lookOf(query, lastStepOf(compared))) };
  },
  "/assets/dashboard.css": () => ({ type: "text/css", text: DASHBOARD_STYLE }),
} satisfies Record<string, PageMaker>);

const NOT_FOUND = json({ error: "there is no such page or run" }, 404);

async function script(path: string): Promise<Page | undefined> {
  const file = Object.hasOwn(SCRIPTS, path) ? SCRIPTS[path] : undefined;
  if (file === undefined) return undefined;
  const bytes = await readRegular(fileURLToPath(new URL(file, import.meta.url)), {
    maxBytes: MAX_SCRIPT_BYTES,
  });
  return { type: "text/javascript", text: new TextDecoder().decode(bytes) };
}

async function viewOf(run: WatchedFolder, name: string, query: URLSearchParams): Promise<RunView> {
  const state = await run.state();
  const whole = await run.history();
  const lines = (await run.lines()).length;
  const at = wholeNumber(query.get("at"));
  const history = at === undefined ? whole : await run.history(at);
  const blocks = await run.blocks(state).catch(() => []);
  return {
    name,
    history,
    state,
    blocks,
    lines,
    lastStep: whole.lastStep,
    look: lookOf(query, whole.lastStep),
  };
}

function lookOf(query: URLSearchParams, lastStep: number): Look {
  const smoothing = Number(query.get("smoothing") ?? 0);
  const scale = query.get("scale");
  const window = windowOf(query, lastStep);
  return {
    axis: AXES.find((axis) => axis === query.get("axis")) ?? "step",
    smoothing: smoothing > 0 ? Math.min(smoothing, MAX_SMOOTHING) : 0,
    narrow: query.get("narrow") === "1",
    ...(window && { window }),
    ...((scale === "log" || scale === "linear") && { scale }),
  };
}

const AXES = ["step", "flops", "time"] as const satisfies readonly Look["axis"][];

/** From one step to a later one; what is left out is the beginning, or the last step. */
function windowOf(query: URLSearchParams, lastStep: number): StepWindow | undefined {
  const [from, to] = ["from", "to"].map((name) => wholeNumber(query.get(name) || null));
  const window = { from: from ?? 0, to: to ?? lastStep };
  return (from ?? to) !== undefined && window.to > window.from ? window : undefined;
}

async function chosen(runs: RunsFolder, query: URLSearchParams): Promise<ComparedRun[]> {
  const names = [...new Set(query.getAll("run"))].slice(0, COMPARED_MAX);
  const found = await Promise.all(
    names.map(async (name) => {
      const run = await runs.find(name);
      return run ? [{ name, history: await run.course() }] : [];
    }),
  );
  return found.flat();
}

/** Of the newest runs, the newest first. */
async function alertsOf(runs: RunsFolder): Promise<Alert[]> {
  const names = (await runs.names()).slice(0, ALERT_RUNS);
  const found = await Promise.all(
    names.map(async (name): Promise<Alert[]> => {
      const severe = (await (await runs.find(name))?.severe()) ?? [];
      return severe
        .slice(-ALERTS_SHOWN)
        .reverse()
        .map((event) => ({ run: name, event }));
    }),
  );
  return found.flat().slice(0, ALERTS_SHOWN);
}

function wholeNumber(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A part of a path; one that is not encoded as it should be names nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function json(body: unknown, status = 200): Page {
  return jsonAnswer(body, status);
}

function problem(error: unknown): Page {
  const isRequests = error instanceof KasminaError && error.code === "invalid_argument";
  return json({ error: messageOf(error) }, isRequests ? 400 : 500);
}

function send(request: IncomingMessage, response: ServerResponse, page: Page): void {
  const { status = 200, type = "text/html; charset=utf-8", text, redrawAfterMs } = page;
  const pace = redrawAfterMs !== undefined && { [REDRAW_AFTER]: Math.round(redrawAfterMs) };
  response.writeHead(status, { ...HEADERS, ...pace, "content-type": type });
  response.end(request.method === "HEAD" ? undefined : text);
}
