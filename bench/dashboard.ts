/**
 * `npm run bench -- dashboard [runs] [steps]`: the dashboard over a folder of long runs, in a real Chromium: how fast its pages load, how
 * long its thread is busy at a time, how many points a chart has, and whether its heap grows while a run goes on.
 */
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "kasmina/base";
import { BrowserPage, chromium } from "../test/support/chromium.js";
import type { Figures, Measurement } from "./measurement.js";

const MAIN = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const OBSERVE_EVERY = 20;
const EPOCH_STEPS = 36;
const LIVE_EVENTS = 100_000;
/** Lines that are written at once while the page watches: as many as a fast run writes in a moment. */
const LIVE_CHUNK = 500;

export const dashboard: Measurement = {
  name: "dashboard",
  summary: "how fast the dashboard's pages are over a folder of long runs, in Chromium",
  run: async ([runs = "100", steps = "100000"]) => {
    if (!chromium) throw new Error("no Chromium is installed: set CHROMIUM to its path");
    const root = mkdtempSync(join(tmpdir(), "kasmina-dashboard-"));
    const names = Array.from({ length: Number(runs) }, (_, i) => `run-${String(i).padStart(3, "0")}`);
    names.forEach((name, i) => {
      writeRun(join(root, name), i, Number(steps));
    });
    const server = spawn(process.execPath, [MAIN, "dashboard", root, "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const page = await BrowserPage.open(chromium);
    try {
      const [printed] = await new Promise<[string]>((done) =>
        server.stdout.once("data", (text: Buffer) => done([String(text)])),
      );
      const url = printed.split("#")[0] ?? "";
      const [first = "", ...others] = names;
      const several = [first, ...others.slice(0, 7)].map((name) => `run=${name}`).join("&");
      return {
        "table of runs": await visit(page, url),
        "a run, read for the first time": await visit(page, `${url}runs/${others.at(-1)}`),
        "the same run again": await visit(page, `${url}runs/${others.at(-1)}`),
        "eight runs side by side": await visit(page, `${url}compare?${several}`),
        alerts: await visit(page, `${url}alerts`),
        [`${LIVE_EVENTS.toLocaleString("en-US")} events while the page is open`]: await follow(
          page,
          `${url}runs/${first}`,
          join(root, first, "events.ndjson"),
          Number(steps),
        ),
      };
    } finally {
      await page.close();
      server.kill();
      rmSync(root, { recursive: true });
    }
  },
};

/** Tasks over 50 ms, as the browser reports them. */
const WATCH_TASKS = `(() => { window.longTasks ??= []; new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.longTasks.push(Math.round(duration)); })
  .observe({ type: "longtask", buffered: true }); })()`;
const POINTS = `Math.max(0, ...[...document.querySelectorAll("svg.chart path.line")].map((line) =>
  line.getAttribute("d").split(/[MLHV]/).length - 1))`;

async function visit(page: BrowserPage, url: string): Promise<Figures> {
  await page.goto(url);
  await page.evaluate(WATCH_TASKS);
  await new Promise((done) => setTimeout(done, 5_000));
  return {
    "loaded after ms": await page.evaluate<number>(
      `Math.round(performance.getEntriesByType("navigation")[0].loadEventEnd)`,
    ),
    "tasks over 50 ms": (await page.evaluate<number[]>("window.longTasks")).join(" ") || "none",
    "points of a curve at most": await page.evaluate<number>(POINTS),
    "KiB of HTML": await page.evaluate<number>(
      "Math.round(document.documentElement.outerHTML.length / 1024)",
    ),
  };
}

async function follow(page: BrowserPage, url: string, file: string, steps: number): Promise<Figures> {
  await page.goto(url);
  await page.evaluate(WATCH_TASKS);
  const heaps: number[] = [];
  for (let sent = 0; sent < LIVE_EVENTS; sent += LIVE_CHUNK) {
    appendFileSync(file, liveLines(steps + sent));
    await new Promise((done) => setTimeout(done, 50));
    if (sent % (LIVE_EVENTS / 5) === 0) heaps.push(await page.heapBytes());
  }
  await new Promise((done) => setTimeout(done, 3_000));
  heaps.push(await page.heapBytes());
  return {
    "heap after every fifth, MiB": heaps.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(" "),
    "tasks over 50 ms": (await page.evaluate<number[]>("window.longTasks")).join(" ") || "none",
    "lines that the page has drawn": await page.evaluate<string>(
      `document.querySelector("#facts").dataset.lines`,
    ),
    elements: await page.evaluate<number>(`document.querySelectorAll("*").length`),
  };
}

function liveLines(step: number): string {
  const lines: string[] = [];
  for (let i = 0; i < LIVE_CHUNK; i++) {
    const event = { type: "event", name: "cache_lock_contention", level: "WARNING", step: step + i };
    lines.push(JSON.stringify(i % 50 === 0 ? observationAt(step + i, 0.3, []) : event));
  }
  return `${lines.join("\n")}\n`;
}

/** A folder as a run that was stopped leaves it, as far as the dashboard reads it. */
function writeRun(path: string, seed: number, steps: number): void {
  const random = new Random(seed);
  const lines: object[] = [];
  const seeds = Array.from({ length: 8 }, (_, i) => ({
    id: `seed-${i + 1}`,
    from: ((i + 0.5) * steps) / 10,
  }));
  for (let step = 1; step <= steps; step++) {
    for (const { id, from } of seeds) {
      const line = lifeAt(id, step - Math.round(from));
      if (line) lines.push({ ...line, step });
    }
    if (step % OBSERVE_EVERY === 0) {
      const loss = 0.3 + Math.exp((-4 * step) / steps) + 0.02 * random.normal();
      const living = seeds.filter(({ from }) => step > from);
      lines.push(observationAt(step, loss, living));
      lines.push({ type: "event", name: "rollback_ready", level: "INFO", step, latency_ms: 1 });
    }
    if (step % EPOCH_STEPS === 0)
      lines.push({
        type: "epoch",
        phase: "grow",
        epoch: step / EPOCH_STEPS,
        train_loss: 0.5,
        val_loss: 0.5,
        val_accuracy: 0.8,
      });
    if (step % 5_000 === 0)
      lines.push({
        type: "event",
        name: "gate_failure",
        level: "CRITICAL",
        seed_id: "seed-1",
        step,
        gate: "G2_STABILITY",
        stage: "TRAINING",
        reason: "no_shadow_gain",
      });
  }
  mkdirSync(path, { recursive: true });
  const about = {
    run_id: `run-${seed}`,
    config: { data: "spirals", host: "resmlp", seed, lr: 0.001 * (1 + (seed % 4)) },
  };
  writeFileSync(join(path, "run.json"), JSON.stringify(about));
  writeFileSync(join(path, "events.ndjson"), `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
}

const STAGES = ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"];
const STAGE_STEPS = 600;
const RAMP_STEPS = 20;

function lifeAt(seed_id: string, age: number): object | undefined {
  const to = STAGES[age / STAGE_STEPS];
  if (to) return { type: "event", name: "seed_stage", level: "INFO", seed_id, from: "DORMANT", to };
  const ramp = age - 2 * STAGE_STEPS;
  return ramp > 0 && ramp <= RAMP_STEPS ? { type: "alpha", seed_id, alpha: ramp / RAMP_STEPS } : undefined;
}

function observationAt(step: number, loss: number, seeds: readonly { readonly id: string }[]): object {
  return {
    ...{
      type: "observation",
      phase: "grow",
      step,
      train_loss: loss,
      val_loss: loss + 0.02,
      val_loss_std_err: 0.01,
    },
    ...{
      val_accuracy: Math.max(0, 1 - loss),
      params_total: 1_266 + 500 * seeds.length,
      flops_total: step * 1e6,
    },
    seeds: seeds.map(({ id }, i) => ({
      ...{ id, slot: `block${1 + (i % 3)}`, blueprint: "mlp-residual", stage: "TRAINING", parameters: 500 },
      ...{ shadow_gain: 0.01, shadow_gain_std_err: 0.002, contribution: null, contribution_std_err: null },
    })),
  };
}
