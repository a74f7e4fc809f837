import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RunFolder } from "../folder/run-folder.js";
import { type Dashboard, serveDashboard } from "./index.js";

const ENDED = new URL("../../../test/fixtures/run-folders/ended", import.meta.url).pathname;
const NASTY = `<img src=x onerror=alert(1)>`;

let root: string;
let dashboard: Dashboard;
let live: RunFolder;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "kasmina-dashboard-"));
  const runs = join(root, "runs");
  cpSync(ENDED, join(runs, "ended"), { recursive: true });
  cpSync(ENDED, join(root, "outside"), { recursive: true });
  symlinkSync(join(root, "outside"), join(runs, "link"));
  mkdirSync(join(runs, "no-run"));
  live = await RunFolder.create(join(runs, "live <b>"), {
    run_id: "live",
    config: { data: NASTY, host: "resmlp", epochs: 9 },
  });
  dashboard = await serveDashboard({ folder: runs, host: "127.0.0.1", port: 0, pollMs: 5 });
});
afterAll(async () => {
  await dashboard.close();
  live.close();
  rmSync(root, { recursive: true });
});

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** As it is typed: `fetch` would tidy a path. */
function ask(path: string, { method = "GET", headers = {}, body }: Asked = {}, at = dashboard) {
  const { hostname, port } = new URL(at.url);
  return new Promise<{ status: number; text: string; policy: string; redrawAfterMs: number }>(
    (done, fail) => {
      const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk) => {
          text += chunk;
        });
        const policy = String(response.headers["content-security-policy"]);
        const redrawAfterMs = Number(response.headers["x-redraw-after-ms"]);
        response.on("end", () => done({ status: response.statusCode ?? 0, text, policy, redrawAfterMs }));
      });
      sent.on("error", fail).end(body);
    },
  );
}

/** The first events of a stream, as id and data. */
function follow(path: string, count: number, headers: Readonly<Record<string, string>> = {}) {
  const { hostname, port } = new URL(dashboard.url);
  return new Promise<[number, Record<string, unknown>][]>((done, fail) => {
    const sent = request({ hostname, port, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
        const found = [...text.matchAll(/^id: (\d+)\ndata: (.*)\n\n/gm)];
        if (found.length < count) return;
        response.destroy();
        done(found.slice(0, count).map(([, id, data]) => [Number(id), JSON.parse(data ?? "")]));
      });
    });
    sent.on("error", fail).end();
  });
}

const LIVE = `/runs/${encodeURIComponent("live <b>")}`;

describe("the pages", () => {
  test("of runs, of one run, of several, of alerts are there, and run no script but their own", async () => {
    for (const path of ["/", "/runs/ended", "/runs/ended/view", "/compare?run=ended&run=x", "/alerts"]) {
      const { status, policy } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(policy).toContain("default-src 'none'; script-src 'self';");
    }
    expect((await ask("/runs/ended")).text).toContain("seed-1");
    expect((await ask("/")).text).toContain("finished");
  });

  test("show what names and options hold as text", async () => {
    for (const path of ["/", LIVE, `/compare?run=ended&run=${encodeURIComponent("live <b>")}`]) {
      const { text } = await ask(path);
      expect(text).not.toContain(NASTY);
      expect(text).not.toContain("live <b>");
      expect(text).toContain("&lt;img src=x onerror=alert(1)&gt;");
    }
  });

  test("say first what compared runs were asked for otherwise", async () => {
    const { text } = await ask(`/compare?run=ended&run=${encodeURIComponent("live <b>")}`);
    expect(text).toMatch(/<td>epochs<\/td><td>8<\/td><td>9<\/td>/);
    expect(text).not.toMatch(/<td>host<\/td>/);
    expect(text.indexOf("asked for otherwise")).toBeLessThan(text.indexOf("Held-out loss"));
  });

  test("say what groups of random seeds came to, and the paired difference between two", async () => {
    const asked = { data: "spirals", host: "resmlp" };
    const runs = ["a0", "a1", "b0", "b1"].map((name) => `${name}-paired`);
    for (const [i, name] of runs.entries()) {
      const config = { ...asked, seed: i % 2, lr: i < 2 ? 0.1 : 0.2 };
      const run = await RunFolder.create(join(root, "runs", name), { run_id: name, config });
      const loss = [0.5, 0.6, 0.4, 0.44][i];
      const figures = { train_loss: 1, val_loss: loss, val_accuracy: 0.5, params_total: 1, flops_total: 1 };
      run.append({ type: "observation", phase: "grow", step: 20, ...figures, seeds: [] });
      run.close();
    }
    const { text } = await ask(`/compare?${runs.map((name) => `run=${name}`).join("&")}`);
    expect(text).toContain("a0-paired and 1 more");
    // Pairs of −0.10 and −0.16: mean −0.13, standard error 0.03, t of one degree of freedom 12.706.
    expect(text).toContain(`-0.1300 ± 0.3812 <span class="quiet">2 pairs</span>`);
    expect(text).toContain("a band of two standard errors");
    expect((await ask("/")).text).toContain("Asked for the same, with other random seeds");
    for (const name of runs) rmSync(join(root, "runs", name), { recursive: true });
  });

  test("tell who follows a run when to ask for it again, by what a drawing takes", async () => {
    const { redrawAfterMs } = await ask("/runs/ended/view");
    expect(redrawAfterMs).toBeGreaterThanOrEqual(700);
    expect(redrawAfterMs).toBeLessThanOrEqual(2_000);
    expect((await ask("/alerts/view")).redrawAfterMs).toBeNaN();
  });

  test("go back to a step", async () => {
    const then = (await ask("/runs/ended/view?at=36")).text;
    const now = (await ask("/runs/ended/view")).text;
    expect(then).toContain("seed-1 (mlp-residual) is GERMINATED, alpha 0.00");
    expect(now).toContain("seed-1 (mlp-residual) is SHADOWING, alpha 1.00");
    expect(then).not.toContain("test accuracy");
    // The slider ends where the run does.
    expect(/data-last="(\d+)"/.exec(then)?.[1]).toBe(/data-last="(\d+)"/.exec(now)?.[1]);
  });

  test.each([
    "axis=flops",
    "scale=log",
    "smoothing=0.9",
    "smoothing=NaN&at=-1&axis=x&scale=y",
  ])("take the look %s", async (look) => {
    const { status, text } = await ask(`/runs/ended/view?${look}`);
    expect(status).toBe(200);
    expect(text.includes('data-x-name="FLOPs"')).toBe(look === "axis=flops");
    expect(text).not.toMatch(/d="[^"]*NaN/);
  });
});

describe("nothing but the runs of the folder is within reach", () => {
  test.each([
    "/runs/..%2foutside",
    "/runs/..%2Foutside/view",
    "/runs/../../outside",
    "/runs/",
    "/runs/%00",
    "/runs/%zz",
    "/runs/link",
    "/runs/no-run",
    "/runs/ended/run.json",
    "/runs/ended/..%2f..%2foutside",
    "/runs/ended%2fcheckpoint",
    "/runs/__proto__",
    "/assets/dashboard/server.node.js",
    "/assets/..%2f..%2fpackage.json",
    "/constructor",
  ])("%s", async (path) => {
    expect((await ask(path)).status).toBe(404);
  });

  test("a dashboard of one run shows that run alone", async () => {
    const one = await serveDashboard({ folder: join(root, "runs", "ended"), host: "127.0.0.1", port: 0 });
    expect((await ask("/runs/ended", {}, one)).status).toBe(200);
    expect((await ask(LIVE, {}, one)).status).toBe(404);
    await one.close();
  });

  test("a folder that is not there is an error that says so", async () => {
    const nowhere = serveDashboard({ folder: join(root, "nowhere"), host: "127.0.0.1", port: 0 });
    await expect(nowhere).rejects.toThrow("name a folder of runs");
  });
});

describe("another page", () => {
  test.each([
    "http://evil.example",
    "null",
    "https://127.0.0.1",
    "http://127.0.0.1:1",
  ])("of origin %s gets nothing", async (origin) => {
    expect((await ask("/", { headers: { origin } })).status).toBe(403);
    const order = { method: "POST", body: "{}", headers: { origin, "x-kasmina-token": dashboard.token } };
    expect((await ask("/runs/ended/act", order)).status).toBe(403);
  });

  test.each([
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
  ])("under the name %j gets nothing", async (host) => {
    expect((await ask("/", { headers: { host } })).status).toBe(403);
  });

  test("of this server is answered", async () => {
    expect((await ask("/", { headers: { origin: `http://${dashboard.address}` } })).status).toBe(200);
  });
});

describe("an order", () => {
  const order = (body: unknown, token: string | undefined = dashboard.token) =>
    ask("/runs/ended/act", {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      headers: token === undefined ? {} : { "x-kasmina-token": token },
    });
  const cull = { action: "cull", seed: "seed-1" };

  test.each([
    "",
    "x",
    "the wrong one, but longer than the token is, to be sure of it",
  ])("with the token %j is not carried out", async (token) => {
    expect((await order(cull, token)).status).toBe(401);
  });

  test("without a token is not carried out, nor by GET", async () => {
    const bare = await ask("/runs/ended/act", { method: "POST", body: JSON.stringify(cull) });
    expect(bare.status).toBe(401);
    expect((await ask("/runs/ended/act")).status).toBe(405);
  });

  test("to a run that does not go on says so", async () => {
    const { status, text } = await order(cull);
    expect(status).toBe(400);
    expect(text).toContain("no run is going on in");
  });

  test.each([
    "",
    "{",
    "[]",
    { action: "cull" },
    { action: "delete", seed: "s" },
    { ...cull, slot: "x" },
  ])("that is none, %j, is refused", async (body) => {
    expect(await order(body)).toMatchObject({ status: 400, text: expect.stringContaining("no action") });
  });

  test("that is too long is refused", async () => {
    expect((await order("x".repeat(10_000))).status).toBe(413);
  });
});

describe("the stream of a run's lines", () => {
  test("begins after the line that was seen last, and goes on as lines are written", async () => {
    for (const step of [1, 2, 3]) live.append({ type: "test", step });
    expect(await follow(`${LIVE}/lines`, 3)).toEqual([1, 2, 3].map((id) => [id, { type: "test", step: id }]));
    expect(await follow(`${LIVE}/lines?after=1`, 2)).toMatchObject([
      [2, {}],
      [3, {}],
    ]);
    const later = follow(`${LIVE}/lines?after=0`, 2, { "last-event-id": "3" });
    for (const step of [4, 5]) live.append({ type: "test", step });
    expect(await later).toEqual([4, 5].map((id) => [id, { type: "test", step: id }]));
  });

  test("tells how many there are instead, to who has the server draw", async () => {
    const before = await follow(`${LIVE}/count`, 1);
    const [[count]] = before as [[number, unknown]];
    expect(before).toEqual([[count, count]]);
    const later = follow(`${LIVE}/count?after=${count}`, 1);
    live.append({ type: "test", step: 6 });
    expect(await later).toEqual([[count + 1, count + 1]]);
  });

  test("leaves out a line that is not whole yet", async () => {
    const path = join(root, "runs", "torn");
    cpSync(ENDED, path, { recursive: true });
    writeFileSync(join(path, "events.ndjson"), '{"n":1}\n{"n":2}\n{"n":');
    expect(await follow("/runs/torn/lines", 2)).toEqual([
      [1, { n: 1 }],
      [2, { n: 2 }],
    ]);
    writeFileSync(join(path, "events.ndjson"), '{"n":3}\n', { flag: "a" });
    expect((await ask("/runs/torn/view")).text).toContain('data-lines="3"');
  });
});
