import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Summary } from "../folder/growth-lines.js";
import type { ObservationRecord, SeedObservation } from "../folder/run-records.js";
import { chartsOf } from "./charts.js";
import { RunLines, readRunHistory } from "./history.js";
import { reportOf } from "./index.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-report-"));
});
afterAll(() => rm(root, { recursive: true }));

const STEPS = [20, 40, 60, 80, 100];

function seedAt(step: number): SeedObservation[] {
  const base = { id: "s1", slot: "block1", blueprint: "low-rank", parameters: 64 };
  const nothing = {
    shadow_gain: null,
    shadow_gain_std_err: null,
    contribution: null,
    contribution_std_err: null,
  };
  if (step < 40) return [];
  if (step < 80) {
    const gain = { ...nothing, shadow_gain: step / 1000, shadow_gain_std_err: 0.002 };
    return [{ ...base, stage: "TRAINING", alpha: 0, ...gain }];
  }
  const effect = { ...nothing, contribution: 0.1, contribution_std_err: 0.01 };
  return [{ ...base, stage: "BLENDING", alpha: 1, ...effect }];
}

function observation(phase: ObservationRecord["phase"], step: number): ObservationRecord {
  const grown = phase === "grow";
  const loss = (grown ? 20 : 30) / step;
  return {
    type: "observation",
    phase,
    step,
    train_loss: loss + 0.01,
    val_loss: loss,
    val_loss_std_err: 0.001,
    val_accuracy: 1 - loss / 2,
    params_total: grown && step >= 40 ? 164 : 100,
    flops_total: step * 1e6,
    at_ms: 1_700_000_000_000 + 1_000 * step,
    seeds: grown ? seedAt(step) : [],
  };
}

function stage(step: number, from: string, to: string, seed_id = "s1") {
  return { type: "event", name: "seed_stage", level: "INFO", seed_id, step, from, to };
}

const LINES: readonly object[] = [
  { type: "notice", text: "engine wasm" },
  observation("grow", 20),
  {
    type: "event",
    name: "gate_event",
    level: "INFO",
    seed_id: "s1",
    step: 25,
    gate: "G0_SANITY",
    passed: true,
  },
  stage(25, "DORMANT", "GERMINATED"),
  stage(30, "GERMINATED", "TRAINING"),
  { type: "decision", step: 60, seed_id: "s1", action: "START_BLENDING", why: "s1: gain 0.06 ± 0.002 <b>" },
  observation("grow", 40),
  { type: "epoch", phase: "grow", epoch: 1, train_loss: 0.5, val_loss: 0.5, val_accuracy: 0.5 },
  observation("grow", 60),
  stage(65, "TRAINING", "BLENDING"),
  { type: "alpha", seed_id: "s1", step: 66, alpha: 0.5 },
  { type: "alpha", seed_id: "s1", step: 67, alpha: 1 },
  observation("grow", 80),
  stage(82, "DORMANT", "GERMINATED", "s2"),
  {
    type: "event",
    name: "gate_failure",
    level: "CRITICAL",
    seed_id: "s2",
    slot_id: "block2",
    blueprint_id: "mlp-residual",
    step: 90,
    gate: "G1_GRADIENT_HEALTH",
    stage: "GERMINATED",
    reason: "gradient_silent",
  },
  stage(90, "GERMINATED", "CULLED", "s2"),
  observation("grow", 100),
  { type: "epoch", phase: "grow", epoch: 2, train_loss: 0.2, val_loss: 0.2, val_accuracy: 0.9 },
  ...STEPS.map((step) => observation("host_alone", step)),
];

const SUMMARY: Summary = {
  type: "summary",
  run_id: "r1",
  engine: "wasm",
  seed: 3,
  host: "resmlp",
  data: "spirals",
  epochs: 2,
  accuracy_host_alone: 0.85,
  accuracy: 0.9,
  params_host: 100,
  params_total: 164,
  flops_total: 1e8,
  steps_per_s: 10,
  wall_s: 12,
  seeds: [],
  commands: { accepted: 4, rejected: 0 },
  isolation: { violations: 0, max_leak_ratio: 0, max_cosine: 0 },
};

async function runFolder(lines: readonly object[], summary?: object, tail = ""): Promise<string> {
  const folder = await mkdtemp(join(root, "run-"));
  const config = { host: "resmlp", data: "spirals", note: "<script>alert(1)</script>" };
  await writeFile(join(folder, "run.json"), JSON.stringify({ run_id: "r1", config }));
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  await writeFile(join(folder, "events.ndjson"), text + tail);
  if (summary) await writeFile(join(folder, "summary.json"), JSON.stringify(summary));
  return folder;
}

function chartIn(page: string, id: string): string {
  const found = new RegExp(`<svg [^>]*id="${id}".*?</svg>`, "s").exec(page);
  if (!found) throw new Error(`no chart ${id}`);
  return found[0];
}

function attribute(markup: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(markup)?.[1] ?? "";
}

/** The values that a line in a chart stands for: its places, through the scales that the chart names. */
function drawnIn(page: string, id: string, series: string): [step: number, value: number][] {
  const chart = chartIn(page, id);
  const numbers = (name: string): number[] => attribute(chart, name).split(" ").map(Number);
  const [left = 0, right = 0, top = 0, bottom = 0] = numbers("data-box");
  const [x0 = 0, x1 = 0] = numbers("data-x-domain");
  const [y0 = 0, y1 = 0] = numbers("data-y-domain");
  const isLog = attribute(chart, "data-y-scale") === "log";
  const path = new RegExp(`<path [^>]*data-series="${series}"[^>]*>`).exec(chart)?.[0] ?? "";
  const places = [...attribute(path, " d").matchAll(/(-?[\d.]+),(-?[\d.]+)/g)];
  return places.map(([, x, y]) => {
    const step = x0 + ((Number(x) - left) / (right - left)) * (x1 - x0);
    const height = (bottom - Number(y)) / (bottom - top);
    return [step, isLog ? y0 * (y1 / y0) ** height : y0 + height * (y1 - y0)];
  });
}

function expectDrawn(drawn: [number, number][], expected: [number, number][]): void {
  expect(drawn.length).toBe(expected.length);
  for (const [i, [step, value]] of expected.entries()) {
    expect(drawn[i]?.[0]).toBeCloseTo(step, 1);
    expect(Math.abs((drawn[i]?.[1] ?? Number.NaN) - value)).toBeLessThan(0.002 * Math.max(1, value));
  }
}

describe("what is drawn is what was measured", () => {
  let page = "";
  beforeAll(async () => {
    page = await reportOf(await runFolder(LINES, SUMMARY, '{"type":"observation","pha'));
  });

  test("loss and accuracy, of the grown host and of the host alone", () => {
    const loss = (over: number) => STEPS.map((step): [number, number] => [step, over / step]);
    expectDrawn(drawnIn(page, "loss", "held out"), loss(20));
    expectDrawn(drawnIn(page, "loss", "host alone, held out"), loss(30));
    expectDrawn(
      drawnIn(page, "score", "grown"),
      STEPS.map((step) => [step, 1 - 10 / step]),
    );
  });

  test("a loss over two decades stands on a logarithmic axis", async () => {
    const far = STEPS.map((step) => ({ ...observation("grow", step), val_loss: 1000 / step ** 2 }));
    const other = await reportOf(await runFolder(far));
    expect(attribute(chartIn(other, "loss"), "data-y-scale")).toBe("log");
    const ticks = [...chartIn(other, "loss").matchAll(/text-anchor="end">([^<]*)/g)].map(([, text]) => text);
    expect(ticks).toEqual(["step", "0.1", "0.2", "0.5", "1", "2"]);
    expectDrawn(
      drawnIn(other, "loss", "held out"),
      STEPS.map((step) => [step, 1000 / step ** 2]),
    );
  });

  test("shadow gain and contribution, each while it was measured", () => {
    expectDrawn(drawnIn(page, "effect", "s1 in the shadow"), [
      [40, 0.04],
      [60, 0.06],
    ]);
    expectDrawn(drawnIn(page, "effect", "s1 contributes"), [
      [80, 0.1],
      [100, 0.1],
    ]);
  });

  test("a contribution ends where it is no longer measured: when the seed is kept or gone", async () => {
    const kept = LINES.map((line) =>
      "seeds" in line && "step" in line && line.step === 100 && Array.isArray(line.seeds)
        ? { ...line, seeds: line.seeds.map((seed) => ({ ...seed, stage: "FOSSILIZED" })) }
        : line,
    );
    const drawn = drawnIn(await reportOf(await runFolder(kept)), "effect", "s1 contributes");
    expect(drawn.map(([step]) => Math.round(step))).toEqual([80]);
  });

  test.each([
    [0.2, "good", "0.2000"],
    [-0.2, "bad", "-0.2000"],
    [0.00004, "quiet", "0.0000"],
    [-0.00004, "quiet", "0.0000"],
  ])("a contribution of %f is %s", async (contribution, quality, text) => {
    const lines = LINES.map((line) =>
      "seeds" in line && Array.isArray(line.seeds)
        ? { ...line, seeds: line.seeds.map((seed) => ({ ...seed, contribution })) }
        : line,
    );
    expect(await reportOf(await runFolder(lines))).toContain(`<span class="${quality}">${text}</span>`);
  });

  test("what was computed is counted as the terminal counts it", () => {
    expect(page).toContain("<b>100 MFLOP</b>");
    const ticks = [...chartIn(page, "flops").matchAll(/text-anchor="end">([^<]*)/g)].map(([, text]) => text);
    expect(ticks).toEqual(["step", "0", "20 M", "40 M", "60 M", "80 M", "100 M"]);
  });

  test("alpha, from 0 before its first step to the end of the run", () => {
    const corners = drawnIn(page, "alpha", "s1").map(([step, value]) => [Math.round(step), value]);
    expect(corners[0]).toEqual([65, 0]);
    expect(corners.at(-1)?.[0]).toBe(100);
    expect(corners.at(-1)?.[1]).toBeCloseTo(1, 3);
  });

  test("stages and gates of each seed", () => {
    const chart = chartIn(page, "stages");
    const stages = [...chart.matchAll(/data-stage="(\w+)"><title>([^<]*)/g)].map(([, , title]) => title);
    expect(stages).toEqual([
      "GERMINATED, steps 25 to 30",
      "TRAINING, steps 30 to 65",
      "BLENDING, steps 65 to 100",
      "GERMINATED, steps 82 to 90",
      "CULLED, steps 90 to 100",
    ]);
    expect([...chart.matchAll(/class="(gate[^"]*)"/g)].map(([, name]) => name)).toEqual([
      "gate",
      "gate failed",
    ]);
    expect(chart).toContain("G1_GRADIENT_HEALTH failed: gradient_silent, step 90");
  });

  test("cost, the seeds that were culled too, and the figures at the head", () => {
    expectDrawn(drawnIn(page, "flops", "grown").slice(-1), [[100, 1e8]]);
    for (const text of ["90.00 %", "+5.0", "host alone 85.00 %"]) expect(page).toContain(text);
    expect(page).toContain("2</b><span>seeds: 0 kept, 1 culled");
    expect(page).toContain("164</b><span>parameters; 100 before it grew");
  });

  test("decisions, gates and culls are shown with their reasons", () => {
    expect(page).toContain("s1: gain 0.06 ± 0.002 &lt;b&gt;");
    expect(page).toContain("G1_GRADIENT_HEALTH failed in GERMINATED: gradient_silent");
  });

  test("the page holds the values for its crosshair, and a script that parses", () => {
    const data = /<script type="application\/json" id="readings">(.*?)<\/script>/s.exec(page)?.[1] ?? "";
    const loss = (JSON.parse(data) as { id: string; series: { name: string; points: unknown[] }[] }[])[0];
    expect(loss?.id).toBe("loss");
    expect(loss?.series.at(-1)?.points[0]).toEqual([20, "1.0000"]);
    const script = /<script>(.*?)<\/script>\s*<\/body>/s.exec(page)?.[1] ?? "";
    expect(() => new Function(script)).not.toThrow();
  });

  test("the page fetches nothing, and texts of the run stay texts", () => {
    const links = page.replaceAll("http://www.w3.org/2000/svg", "");
    expect(links).not.toMatch(/https?:|src=|href=|@import|url\(/);
    expect(page).not.toContain("<script>alert");
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  });
});

describe("the history of a run", () => {
  test("that was resumed holds each step once, as it was seen last", async () => {
    const again = { ...observation("grow", 80), val_loss: 9 };
    const history = await readRunHistory(
      await runFolder([...LINES, again, stage(65, "TRAINING", "BLENDING")]),
    );
    expect(history.observations.map(({ step, val_loss }) => [step, val_loss])).toEqual([
      [20, 1],
      [40, 0.5],
      [60, 20 / 60],
      [80, 9],
      [100, 0.2],
    ]);
    expect(history.seeds[0]?.stages.length).toBe(3);
    expect(history.epochEnds).toEqual([40, 100]);
  });

  test("draws the loss of every step where the run kept them, over steps and over FLOPs", async () => {
    const path = await runFolder(LINES);
    const losses = Float32Array.from({ length: 120 }, (_, i) => (i === 49 ? 9 : 1));
    await writeFile(join(path, "losses.f32"), new Uint8Array(losses.buffer));
    const history = await readRunHistory(path);
    const training = (axis: "step" | "flops", smoothing = 0) =>
      chartsOf(history, { axis, smoothing })[0]?.series.find(({ name }) => name === "training")?.samples ??
      [];
    expect(training("step")).toHaveLength(100);
    expect(training("step")).toContainEqual({ step: 50, value: 9 });
    expect(training("flops")).toContainEqual({ step: 50e6, value: 9 });
    expect(training("step", 0.9).find(({ step }) => step === 50)?.value).toBeLessThan(2);
    expect(await reportOf(path)).toContain('data-series="training"');
  });

  test("that has only begun makes a page all the same", async () => {
    const page = await reportOf(await runFolder([]));
    expect(page).toContain("no report of its end yet");
    expect(page).toContain("No seed was germinated.");
    expect(page).not.toContain("NaN");
  });
});

test("the course of a run is its observations without their seeds", () => {
  const [whole, course] = [new RunLines(), new RunLines()];
  const texts = LINES.map((line) => JSON.stringify(line));
  whole.add(texts);
  course.addCourse([...texts, '{"type":"observation","phase":"grow","st']);
  const bare = whole.observations.until(Number.POSITIVE_INFINITY).map((one) => ({ ...one, seeds: [] }));
  expect(bare.length).toBeGreaterThan(5);
  expect(course.observations.until(Number.POSITIVE_INFINITY)).toEqual(bare);
});
