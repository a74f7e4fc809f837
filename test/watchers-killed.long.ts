/** Whoever watches a run may be killed at any moment: the run ends with the same bits as one that nobody watched. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { kasmina, start } from "./kasmina.js";
import { BrowserPage, chromium } from "./support/chromium.js";
import { freePort } from "./support/prometheus.js";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;
const RUN = [
  "grow",
  "--data",
  "spirals",
  "--engine",
  "wasm",
  "--epochs",
  "60",
  "--seed",
  "7",
  "--policy",
  "epoch:2",
];

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-watchers-"));
});
afterAll(() => rm(root, { recursive: true }));

/** What the run computed: the loss of each step, and the tensors of its checkpoints by their SHA-256, which is their name. */
async function bitsOf(run: string) {
  const folder = join(root, run);
  const losses = await readFile(join(folder, "losses.f32"));
  const tensors = (await readdir(join(folder, "checkpoint"))).filter((name) => name.endsWith(".safetensors"));
  const { accuracy, loss, flops_total } = JSON.parse(await readFile(join(folder, "summary.json"), "utf8"));
  return { losses: losses.toString("base64"), tensors: tensors.sort(), accuracy, loss, flops_total };
}

/** Starts a dashboard of its own process and reads from it; resolves with how to kill it. */
async function dashboard(folder: string): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, [MAIN, "dashboard", folder, "--port", "0"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [printed] = await once(child.stdout, "data");
  return { url: String(printed).trim(), child };
}

/** A scraper that hangs up in the midst of the answer. */
async function scrapeAndHangUp(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await Promise.race([
    once(socket, "data").catch(() => undefined),
    new Promise((done) => setTimeout(done, 500)),
  ]);
  socket.resetAndDestroy();
}

test("dashboards, browsers and scrapers that are killed at any moment leave the run as it was", async () => {
  expect(await kasmina([...RUN, "--run-dir", "alone/run"], root)).toMatchObject({ code: 0 });
  const port = await freePort();
  const watched = start(
    [...RUN, "--run-dir", "watched/run", "--metrics", String(port), "--dashboard", "--json"],
    root,
  );
  let isOver = false;
  void watched.finished.then(() => {
    isOver = true;
  });
  const own = new Promise<string>((done) => {
    watched.child.stderr?.on("data", (text: string) => {
      const found = /dashboard: (\S+)/.exec(text)?.[1];
      if (found) done(found);
    });
  });
  const random = new Random(3);
  const moment = (): Promise<void> => new Promise((done) => setTimeout(done, 2_000 * random.uniform()));
  let killed = 0;
  await watched.printed('"type":"epoch"');
  const url = await own;
  while (!isOver) {
    const other = await dashboard(join(root, "watched"));
    const browser = chromium ? await BrowserPage.open(chromium) : undefined;
    await browser
      ?.goto(random.uniform() < 0.5 ? other.url : `${url.split("#")[0]}runs/run`)
      .catch(() => undefined);
    await scrapeAndHangUp(port);
    await moment();
    // SIGKILL, both.
    other.child.kill("SIGKILL");
    await browser?.close();
    killed++;
  }
  expect(await watched.finished).toMatchObject({ code: 0 });
  expect(killed).toBeGreaterThan(1);
  expect(await bitsOf("watched/run")).toEqual(await bitsOf("alone/run"));
});
