/** The dashboard of a run that goes on, in a real browser. `npm run pictures` writes what it looks like for the docs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kasmina, type Running, start } from "./kasmina.js";
import { BrowserPage, chromium } from "./support/chromium.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Of a seed, until it is on probation, on a machine that is busy with much else; a slot whose seed was culled rests before the next one. */
const LIFE_MS = 300_000;

const PICTURES = process.env.KASMINA_PICTURES;
if (PICTURES) mkdirSync(PICTURES, { recursive: true });

async function eventsOf(root: string): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(join(root, "runs/here/events.ndjson"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe.skipIf(!chromium)("the dashboard of a run that goes on", () => {
  let root: string;
  let growing: Running;
  let page: BrowserPage;
  let url: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "kasmina-dashboard-"));
    const run = ["--engine", "wasm", "--epochs", "4000", "--run-dir", "runs/here"];
    growing = start(["grow", "--data", "spirals", ...run, "--json", "--dashboard"], root);
    url = await new Promise<string>((done) => {
      growing.child.stderr?.on("data", (text: string) => {
        const found = /dashboard: (\S+)/.exec(text)?.[1];
        if (found) done(found);
      });
    });
    page = await BrowserPage.open(chromium ?? "");
  });
  afterAll(async () => {
    growing.child.kill("SIGTERM");
    await growing.finished;
    await page.close();
    await rm(root, { recursive: true });
  });

  /** What axe finds wrong with the page, one line each. */
  async function faults(): Promise<string[]> {
    await page.evaluate(`${axe};0`);
    return page.evaluate<string[]>(
      `axe.run().then(({ violations }) => violations.map((v) => v.id + ": " + v.nodes[0].html))`,
    );
  }
  const lookAt = (step: number): Promise<unknown> =>
    page.evaluate(`(() => { const at = document.forms.look.elements.namedItem("at");
      at.value = ${step}; at.dispatchEvent(new Event("input", { bubbles: true })); })()`);
  const press = (selector: string): Promise<unknown> =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);

  test("lists the run, and leads to it", async () => {
    await page.goto(url);
    await page.until(`document.querySelector("#compare tbody tr")?.innerText.includes("running")`);
    await page.evaluate(`document.querySelector("#search").value = "nothing of the kind"`);
    const searched = `document.querySelector("#search").dispatchEvent(new Event("input", { bubbles: true }))`;
    await page.evaluate(searched);
    await page.until(`!document.querySelector("#compare tbody tr")`);
    expect(await faults()).toEqual([]);
    await page.evaluate(`document.querySelector("#search").value = "here"`);
    await page.evaluate(searched);
    await page.until(`document.querySelector("#compare tbody tr")`);
    expect(await faults()).toEqual([]);
    // A drawing takes neither what was chosen nor the place of who goes through the table by keys.
    await press("#compare [name=run]");
    await page.evaluate(`document.querySelector("#sort-age").focus()`);
    await press("#sort-age");
    await page.until(`document.querySelector("th[aria-sort=ascending] #sort-age")`);
    await page.until(`document.activeElement?.id === "sort-age"`);
    expect(await page.evaluate(`document.querySelector("#compare [name=run]").checked`)).toBe(true);
    await press("#compare tbody a");
    await page.until(`location.pathname === "/runs/here" && document.querySelector("#facts")`);
    expect(await page.evaluate("location.hash")).toBe("");
  });

  test("culls a seed when it is told to, and only then", async () => {
    const cull = "#act [data-action=cull]";
    const outcome = `document.querySelector("#outcome").innerText`;
    await page.evaluate(`document.querySelector("#act").open = true`);
    const isOffered = `!document.querySelector("${cull}").disabled`;
    await page.until(isOffered, 120_000);
    await press(cull);
    await press("#confirm [value=no]");
    expect(await page.evaluate(outcome)).toBe("");
    let seed = "";
    // A seed with another change pending is not culled: the run goes on meanwhile.
    for (let said = "refused"; said.includes("refused"); said = await page.evaluate<string>(outcome)) {
      await page.until(isOffered, 120_000);
      seed = await page.evaluate<string>(`document.querySelector("#seed").value`);
      await press(cull);
      expect(await page.evaluate(`document.querySelector("#confirm p").innerText`)).toContain(`Cull ${seed}`);
      await press("#confirm [value=yes]");
      await page.until(`${outcome}.includes("Cull ${seed}: ") && !${outcome}.endsWith("sent")`);
    }
    expect(await page.evaluate(outcome)).toContain(`Cull ${seed}: applied`);
    await page.until(`[...document.querySelectorAll("tbody tr")].some((row) =>
      row.innerText.includes(${JSON.stringify(seed)}) && row.innerText.includes("CULLED"))`);
  });

  test(
    "shows a seed in its stages as it goes through them",
    async () => {
      // Some last less than the time between two drawings: that they were there is seen in the seed's life.
      const lives = `[...document.querySelectorAll("#stages [data-seed]")].map((lane) =>
      [...lane.querySelectorAll("rect")].map((span) => span.dataset.stage).slice(0, 5).join())`;
      const life = ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY"];
      await page.until(`${lives}.includes("${life.join()}")`, LIFE_MS);
      const changes = (await eventsOf(root)).filter(({ name }) => name === "seed_stage");
      const id = changes.find(({ to }) => to === "PROBATIONARY")?.seed_id;
      for (const { to, step } of changes.filter((each) => each.seed_id === id).slice(0, life.length)) {
        await lookAt(Number(step) + 1);
        await page.until(`document.querySelector(".network [data-seed=${id}][data-stage=${to}]")`);
      }
      await press("#live");
    },
    2 * LIFE_MS,
  );

  test("says of a seed what events.ndjson says", async () => {
    const all = await eventsOf(root);
    type Seed = { id: string; contribution: number | null; contribution_std_err: number };
    const measured = all.findLast(
      ({ type, seeds }) =>
        type === "observation" && (seeds as Seed[]).some(({ contribution }) => contribution !== null),
    );
    const step = Number(measured?.step);
    const seed = (measured?.seeds as Seed[]).findLast(({ contribution }) => contribution !== null);
    const { alpha } =
      all.findLast(
        (line) => line.type === "alpha" && line.seed_id === seed?.id && Number(line.step) <= step,
      ) ?? {};
    // The page may be a drawing behind the file.
    await page.until(`Number(document.querySelector("#look [name=at]").max) > ${step}`);
    await lookAt(step);
    await page.until(`document.querySelector("#at").innerText.replace(",", "") === "${step}"`);
    const told = `alpha ${Number(alpha).toFixed(2)}, brings ${seed?.contribution?.toFixed(4)} ± ${seed?.contribution_std_err.toFixed(4)} nats`;
    await page.until(
      `document.querySelector(".network [data-seed=${seed?.id}] title")?.textContent.includes(${JSON.stringify(told)})`,
    );
    await press("#live");
  });

  test("is worked by the keyboard alone", async () => {
    const focused = `document.activeElement?.dataset.action ?? document.activeElement?.value`;
    const tabTo = async (what: string): Promise<void> => {
      for (let tabs = 0; (await page.evaluate(focused)) !== what; tabs++) {
        expect(tabs, `no Tab leads to ${what}`).toBeLessThan(60);
        await page.key("Tab");
      }
    };
    const outcome = `document.querySelector("#outcome").innerText`;
    await page.evaluate(`document.querySelector("#outcome").replaceChildren()`);
    await page.evaluate(`document.querySelector("#live").focus()`);
    await tabTo("rollback");
    await page.key("Enter");
    await page.until(`document.querySelector("#confirm").open`);
    await page.key("Escape");
    await page.until(`!document.querySelector("#confirm").open`);
    expect(await page.evaluate(outcome)).toBe("");
    await tabTo("rollback");
    await page.key("Space");
    await page.until(`document.querySelector("#confirm").open`);
    await tabTo("yes");
    await page.key("Enter");
    await page.until(`${outcome}.startsWith("Roll back: applied")`);
  });

  test("goes back to any step, and is live again", async () => {
    await lookAt(1);
    await page.until(`!document.querySelector(".network [data-seed]")`);
    expect(await page.evaluate(`document.querySelector("#at").innerText`)).toBe("1");
    await press("#live");
    await page.until(`document.querySelector(".network [data-seed]")`);
    expect(await page.evaluate(`document.querySelector("#live").ariaPressed`)).toBe("true");
  });

  test("is not drawn while nobody can see it, and is when somebody looks again", async () => {
    const turn = (hidden: boolean): Promise<unknown> =>
      page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, get: () => ${hidden} });
        document.dispatchEvent(new Event("visibilitychange"))`);
    const lastStep = (): Promise<string> => page.evaluate(`document.querySelector("#facts").dataset.last`);
    const pause = (ms: number): Promise<unknown> => new Promise((done) => setTimeout(done, ms));
    await turn(true);
    // What was under way is still drawn, then no more; a page that went on would never come out of this.
    let before = "";
    for (let now = await lastStep(); now !== before; now = await lastStep()) {
      before = now;
      await pause(2_500);
    }
    await turn(false);
    await page.until(`document.querySelector("#facts").dataset.last !== "${before}"`);
  });

  test("shows a part of the steps in all charts, chosen over one of them or written down", async () => {
    const domain = (chart: string): string =>
      `document.querySelector("svg#${chart}").dataset.xDomain.split(" ").map(Number)`;
    const choose = (axis: string): Promise<unknown> =>
      page.evaluate(`(() => { const select = document.forms.look.elements.namedItem("axis");
        select.value = "${axis}"; select.dispatchEvent(new Event("input", { bubbles: true })); })()`);
    for (const axis of ["flops", "time", "step"]) {
      await choose(axis);
      const name = { flops: "FLOPs", time: "time", step: "step" }[axis];
      await page.until(`document.querySelector("svg#loss").dataset.xName === "${name}"`);
      // Over the first half of the chart.
      await page.evaluate(`(() => {
        const svg = document.querySelector("svg#loss");
        const { left, width, top } = svg.getBoundingClientRect();
        const [from, to] = svg.dataset.box.split(" ").map((x) => left + (Number(x) / svg.viewBox.baseVal.width) * width);
        const point = (type, x) => svg.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: top + 9, bubbles: true }));
        point("pointerdown", from); point("pointermove", (from + to) / 2); point("pointerup", (from + to) / 2);
      })()`);
      await page.until(
        `${domain("alpha")}[0] === 0 && ${domain("alpha")}[1] === Number(document.forms.look.elements.namedItem("to").value)`,
      );
      const [last] = await page.evaluate<number[]>(`[Number(document.querySelector("#facts").dataset.last)]`);
      const [, to = 0] = await page.evaluate<number[]>(domain("stages"));
      expect(to, axis).toBeLessThan(Number(last));
      expect(to).toBeGreaterThan(0);
      await press("#whole");
      await page.until(`${domain("alpha")}[1] > ${to} && document.querySelector("#whole").disabled`);
    }
    await page.evaluate(`(() => { for (const [name, value] of [["from", 40], ["to", 90]]) {
      const input = document.forms.look.elements.namedItem(name);
      input.value = value; input.dispatchEvent(new Event("input", { bubbles: true })); } })()`);
    await page.until(`["loss", "score", "alpha", "stages", "parameters"].every((id) =>
      document.querySelector("svg#" + id).dataset.xDomain === "40 90")`);
    await page.evaluate(`dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }))`);
    await page.until(`${domain("loss")}[0] === 0`);
  });

  test.each(["light", "dark"] as const)("has no fault that axe knows, %s, wide and narrow", async (theme) => {
    for (const width of [1200, 360]) {
      await page.look(width, theme);
      expect([width, await faults()]).toEqual([width, []]);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      if (PICTURES) writeFileSync(join(PICTURES, `dashboard-${theme}-${width}.png`), await page.picture());
    }
  });

  test.each([
    ["runs", ""],
    ["compare", "compare?run=here&run=seed-1&run=fast-0&run=fast-1"],
    ["alerts", "alerts"],
  ])("has none on the page of %s, and is no wider than the screen", async (name, path) => {
    await writeOthers(join(root, "runs"));
    await page.look(1200, "light");
    await page.goto(`${url.split("#")[0]}${path}`);
    for (const [width, theme] of [
      [1200, "light"],
      [1200, "dark"],
      [360, "light"],
    ] as const) {
      await page.look(width, theme);
      expect([theme, width, await faults()]).toEqual([theme, width, []]);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      const picture = join(PICTURES ?? "", `dashboard-${name}-${theme}.png`);
      if (PICTURES && width === 1200) writeFileSync(picture, await page.picture());
    }
  });

  test("has charts that need no scrolling sideways on a narrow screen", async () => {
    await page.goto(`${url.split("#")[0]}runs/here`);
    await page.look(360, "light");
    const widest = `Math.max(...[...document.querySelectorAll("svg.chart")].map((svg) => svg.getBoundingClientRect().right))`;
    await page.until(`${widest} <= innerWidth`);
  });
});

/** What runs like the first one were asked for otherwise, and what their losses are a multiple of. */
const OTHERS = [
  { name: "seed-1", otherwise: { seed: 1 }, factor: 0.8 },
  { name: "fast-0", otherwise: { lr: 0.02 }, factor: 0.5 },
  { name: "fast-1", otherwise: { lr: 0.02, seed: 1 }, factor: 0.35 },
] as const;

/** Runs beside the one that goes on, as far as the dashboard reads them. */
async function writeOthers(runs: string): Promise<void> {
  const about = JSON.parse(await readFile(join(runs, "here", "run.json"), "utf8")) as { config: object };
  const events = await readFile(join(runs, "here", "events.ndjson"), "utf8");
  const level = "CRITICAL";
  const refused = { type: "event", name: "command_rejected", level, step: 7, reason: "invalid_signature" };
  for (const { name, otherwise, factor } of OTHERS) {
    const folder = join(runs, name);
    await mkdir(folder, { recursive: true });
    const config = { ...about.config, ...otherwise };
    await writeFile(join(folder, "run.json"), JSON.stringify({ ...about, run_id: name, config }));
    const losses = events.replace(
      /"(val_loss|train_loss)":([\d.e-]+)/g,
      (_, field, value) => `"${field}":${factor * Number(value)}`,
    );
    await writeFile(join(folder, "events.ndjson"), `${losses}${JSON.stringify(refused)}\n`);
  }
}

test.each([
  ["grow", "--metrics", "0", "--dashboard", "192.0.2.1:9"],
  ["grow", "--dashboard", "192.0.2.1:9"],
  ["dashboard", "no-such-folder"],
])("%s %s %s: what cannot be served ends with the reason", async (...args) => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-dashboard-"));
  const { code, stderr } = await kasmina(args, root);
  expect(code).toBe(2);
  expect(stderr).toMatch(/cannot listen on 192\.0\.2\.1:9|there is no folder no-such-folder/);
  await rm(root, { recursive: true });
});
