/** The pages of the dashboard as HTML: the runs, one run, runs side by side, alerts. */
import { maxOf } from "../../base/index.js";
import { isGrowing, SCORE_TITLES, type ScoreName, TASK_TRAITS } from "../../contracts/index.js";
import { formatScore } from "../folder/growth-lines.js";
import type { RunState } from "../folder/list-runs.js";
import { courseOf, type Look, seedColor } from "../report/charts.js";
import type { RunEvent, RunHistory } from "../report/history.js";
import { type LineChart, readings } from "../report/line-chart.js";
import { asText, chartCard, percent, reportBody, section } from "../report/page.js";
import { STYLE } from "../report/style.js";
import { element, escapeText } from "../report/svg.js";
import { badge, facts, quantity, table } from "../report/tables.js";
import { drawNetwork } from "./network.js";
import type { Runbook } from "./runbook.node.js";
import type { RunRow } from "./runs.node.js";

/** Added to the style of reports. */
export const DASHBOARD_STYLE = `${STYLE}
nav{display:flex;gap:18px;padding:10px 20px;border-bottom:1px solid var(--line);background:var(--card)}
a{color:var(--accent)}nav a[aria-current]{color:var(--text);font-weight:600;text-decoration:none}
form.bar{display:flex;flex-wrap:wrap;gap:10px 18px;align-items:end;margin:16px 0}
form.bar label{font-size:13px;color:var(--quiet);display:grid;gap:2px}
form.bar label.long{flex:1 1 260px}
button,select,input{font:inherit;font-size:14px;color:var(--text);background:var(--card);border:1px solid var(--quiet);border-radius:8px;padding:5px 10px}
input[type=range]{padding:0;accent-color:var(--accent);width:100%}
button{cursor:pointer}button:disabled{opacity:.55;cursor:default}
th button{border:0;padding:0;background:none;color:var(--quiet);font-weight:600;font-size:13px}
th[aria-sort=ascending] button::after{content:" ▲"}th[aria-sort=descending] button::after{content:" ▼"}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.network{display:block;width:100%;max-width:760px;height:auto;min-width:460px}
.network text{font-size:13px;fill:var(--text)}.network .quiet{fill:var(--quiet)}
.block{fill:var(--page);stroke:var(--quiet)}.trunk{stroke:var(--quiet);stroke-width:2}
.branch{fill:none;stroke-linecap:round}.branch.idle{stroke-dasharray:3 5}
dialog{border:1px solid var(--line);border-radius:12px;background:var(--card);color:var(--text);max-width:420px}
dialog::backdrop{background:#0008}dialog p{margin-top:0}
.danger{border-color:var(--bad);color:var(--bad)}
[role=status]{font-size:14px;min-height:21px;display:block}
.badge{color:var(--text);background:none!important;border:1px solid var(--quiet)}
@media (max-width:700px){nav{padding:10px 12px}td.wide{min-width:220px}}
`;

/** What a page is made of, besides what {@link shell} adds. */
interface Page {
  readonly title: string;
  readonly place: "runs" | "alerts" | "";
  /** Where the part that changes comes from; the part itself as it is now. */
  readonly view: string;
  readonly body: string;
  /** What stands above it, and stays. */
  readonly above?: string;
  /** Where the run's lines are streamed; without one the page looks again now and then. */
  readonly stream?: string;
}

export function shell({ title, place, view, body, above = "", stream }: Page): string {
  const link = (href: string, text: string, name: string): string =>
    element("a", { href, "aria-current": place === name ? "page" : undefined }, text);
  const live = { id: "view", "data-view": view, "data-stream": stream };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)} · Kasmina</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/dashboard.css">
<script type="module" src="/assets/dashboard/client.js"></script>
</head>
<body>
<nav aria-label="Pages">${link("/", "Runs", "runs")}${link("/alerts", "Alerts", "alerts")}</nav>
<main>${above}${element("div", live, body)}</main>
</body>
</html>
`;
}

export function runsPage(rows: readonly RunRow[]): string {
  const search = `<label class="long">Search <input type="search" id="search" autocomplete="off"></label>`;
  const compare = `<button type="submit" form="compare">Compare the chosen</button>`;
  return shell({
    title: "Runs",
    place: "runs",
    view: "/view",
    above: `<h1>Runs</h1><form class="bar" role="search">${search}${compare}</form>`,
    body: runsTable(rows),
  });
}

/** Cells that are sorted by another value than their text bear it as `data-value`. */
export function runsTable(rows: readonly RunRow[]): string {
  if (rows.length === 0) return `<div class="card quiet">No runs yet: kasmina grow</div>`;
  const number = (value: number | undefined, text: (value: number) => string): string =>
    element("span", { "data-value": value ?? "" }, value === undefined ? "–" : text(value));
  const head = (title: string): string => `<button type="button">${title}</button>`;
  const written = table<RunRow>(
    [
      {
        title: `<span class="quiet">choose</span>`,
        cell: ({ name }) =>
          element("input", { type: "checkbox", name: "run", value: name, "aria-label": `compare ${name}` }),
      },
      {
        title: head("run"),
        cell: ({ name }) => element("a", { href: pathOf(name) }, escapeText(name)),
      },
      { title: head("state"), cell: ({ state }) => escapeText(state) },
      {
        title: head("started"),
        cell: ({ startedMs }) => {
          const text = new Date(startedMs).toISOString().slice(0, 16).replace("T", " ");
          return number(startedMs, () => text);
        },
      },
      { title: head("data"), cell: ({ data }) => escapeText(data) },
      { title: head("host"), cell: ({ host }) => escapeText(host) },
      { title: head("seed"), className: "number", cell: ({ seed }) => escapeText(seed) },
      { title: head("step"), className: "number", cell: ({ step }) => number(step, quantity) },
      {
        title: head("loss"),
        className: "number",
        cell: ({ loss }) => number(loss, (value) => value.toFixed(4)),
      },
      {
        title: head("score"),
        className: "number",
        cell: ({ score }) =>
          number(score?.value, () =>
            score
              ? `${formatScore(score)}${score.name === "accuracy" ? "" : ` ${SCORE_TITLES[score.name]}`}`
              : "",
          ),
      },
      {
        title: head("parameters"),
        className: "number",
        cell: ({ parameters }) => number(parameters, quantity),
      },
      { title: head("seeds"), className: "number", cell: ({ seeds }) => number(seeds, String) },
    ],
    rows,
  );
  return element("form", { id: "compare", action: "/compare", method: "get" }, written);
}

/** What a run looks like at a moment. */
export interface RunView {
  readonly name: string;
  readonly history: RunHistory;
  readonly state: RunState;
  readonly blocks: readonly string[];
  /** Lines of events.ndjson that the view is drawn from. */
  readonly lines: number;
  /** The last step there is, whichever is looked at. */
  readonly lastStep: number;
  readonly look: Look;
}

export function runPage(view: RunView): string {
  return shell({
    title: view.name,
    place: "",
    view: `${pathOf(view.name)}/view`,
    stream: `${pathOf(view.name)}/lines`,
    body: runBody(view),
    above: lookForm(view) + actForm(view.name),
  });
}

export function runBody({ history, state, blocks, lines, lastStep, look }: RunView): string {
  const growing = history.seeds.filter(({ stages }) => {
    const stage = stages.at(-1)?.stage;
    return stage !== undefined && (stage === "GERMINATED" || isGrowing(stage));
  });
  const facts = {
    id: "facts",
    hidden: "",
    "data-lines": lines,
    "data-last": lastStep,
    "data-state": state,
    "data-seeds": JSON.stringify(growing.map(({ id }) => id)),
  };
  return element("div", facts) + reportBody(history, look, drawNetwork(history, blocks));
}

/** How the curves are drawn, and which step is looked at. */
function lookForm({ name, lastStep, state }: RunView): string {
  const select = (id: string, title: string, options: Readonly<Record<string, string>>): string => {
    const written = Object.entries(options).map(([value, text]) => element("option", { value }, text));
    return `<label>${title} ${element("select", { name: id }, written.join(""))}</label>`;
  };
  const back = element("input", { type: "range", name: "at", min: 0, max: lastStep, value: lastStep });
  return `<p class="quiet">${escapeText(name)} · <span id="state">${state}</span></p>
<form class="bar" id="look">
${select("axis", "Over", { step: "steps", flops: "FLOPs" })}
${select("scale", "Loss axis", { "": "as it fits", log: "logarithmic", linear: "linear" })}
<label>Smoothing <input type="range" name="smoothing" min="0" max="0.95" step="0.05" value="0"></label>
<label class="long"><span>Step <b id="at">${quantity(lastStep)}</b></span> ${back}</label>
<button type="button" id="live" aria-pressed="true">Live</button>
</form>`;
}

function actForm(name: string): string {
  const button = (action: string, text: string, more: Readonly<Record<string, string>> = {}): string =>
    element("button", { type: "button", disabled: "", "data-action": action, ...more }, text);
  const seeds = ["advance", "pause", "resume", "fossilize"].map((action) =>
    button(action, `${action[0]?.toUpperCase()}${action.slice(1)}`, { "data-needs": "seed" }),
  );
  const cull = button("cull", "Cull", { "data-needs": "seed", class: "danger" });
  const levels = ["PAUSE_GROWTH", "FREEZE_SEEDS", "CLEAR"].map((level) =>
    button("emergency", level.toLowerCase().replace("_", " "), { "data-level": level }),
  );
  const halt = button("emergency", "halt", { "data-level": "HALT", class: "danger" });
  const back = [
    button("rollback", "Roll back", { "data-to": "memory" }),
    button("rollback", "Roll back to the checkpoint", { "data-to": "checkpoint" }),
  ];
  return `<details class="card" id="act" data-run="${escapeText(name)}" data-path="${escapeText(`${pathOf(name)}/act`)}">
<summary>Act</summary>
<form class="bar"><label>Seed <select id="seed"></select></label>${seeds.join("")}${cull}</form>
<form class="bar">${back.join("")}</form>
<form class="bar"><span>Emergency:</span>${levels.join("")}${halt}</form>
<p role="status" id="outcome"></p>
<dialog id="confirm"><p></p><form method="dialog" class="bar"><button value="no">Leave it</button><button value="yes" class="danger">Do it</button></form></dialog>
</details>`;
}

/** One of the runs that are compared. */
export interface ComparedRun {
  readonly name: string;
  readonly history: RunHistory;
}

export function comparePage(runs: readonly ComparedRun[], look: Look): string {
  const query = runs.map(({ name }) => `run=${encodeURIComponent(name)}`).join("&");
  return shell({
    title: "Compare",
    place: "",
    view: `/compare/view?${query}`,
    body: compareBody(runs, look),
  });
}

export function compareBody(runs: readonly ComparedRun[], look: Look): string {
  if (runs.length === 0) return `<h1>Compare</h1><p>Choose runs in the table of runs.</p>`;
  const lastStep = maxOf(runs.map(({ history }) => history.lastStep));
  const scores = [...new Set(runs.map(({ history }) => TASK_TRAITS[history.task].score))];
  const chart = (
    id: string,
    title: string,
    field: "val_loss" | `val_${ScoreName}` | "train_loss",
  ): LineChart => ({
    id,
    title,
    caption: field === "train_loss" ? "on what is learned from" : "held out",
    series: runs
      .map(({ name, history }, i) => ({
        name,
        color: seedColor(i),
        samples: courseOf(history.observations, look, field),
      }))
      .filter(({ samples }) => samples.length > 0),
    format: field === "val_accuracy" || field === "val_micro_f1" ? percent : (value) => value.toFixed(4),
    mayBeLog: field === "val_loss" || field === "train_loss",
  });
  const charts = [
    chart("loss", "Held-out loss", "val_loss"),
    ...scores.map((score) => chart(score, SCORE_TITLES[score], `val_${score}`)),
    chart("train", "Training loss", "train_loss"),
  ];
  const data = JSON.stringify(charts.map(readings)).replaceAll("<", "\\u003c");
  return `<h1>Compare</h1>
${section("What was asked for otherwise", differences(runs))}
${section("Learning", charts.map((one) => chartCard(one, { lastStep })).join(""))}
<script type="application/json" id="readings">${data}</script>`;
}

/** Options that are not the same in all runs; where the runs lie is none. */
function differences(runs: readonly ComparedRun[]): string {
  const keys = [...new Set(runs.flatMap(({ history }) => Object.keys(history.config)))];
  const textOf = ({ history }: ComparedRun, key: string): string =>
    history.config[key] === undefined ? "–" : asText(history.config[key]);
  const differing = keys
    .filter((key) => key !== "runId" && key !== "runDir")
    .filter((key) => new Set(runs.map((run) => textOf(run, key))).size > 1);
  if (differing.length === 0) return `<div class="card quiet">The same was asked of all of them.</div>`;
  return table<string>(
    [
      { title: "option", cell: (key) => escapeText(key) },
      ...runs.map((run) => ({
        title: escapeText(run.name),
        cell: (key: string) => escapeText(textOf(run, key)),
      })),
    ],
    differing,
  );
}

/** What should not have happened, and in which run. */
export interface Alert {
  readonly run: string;
  readonly event: RunEvent;
}

export function alertsPage(alerts: readonly Alert[], runbook: Runbook): string {
  return shell({
    title: "Alerts",
    place: "alerts",
    view: "/alerts/view",
    body: alertsBody(alerts, runbook),
    above: `<h1>Alerts</h1>`,
  });
}

export function alertsBody(alerts: readonly Alert[], runbook: Runbook): string {
  if (alerts.length === 0) return `<div class="card quiet">Nothing but what was expected.</div>`;
  return table<Alert>(
    [
      { title: "run", cell: ({ run }) => element("a", { href: pathOf(run) }, escapeText(run)) },
      { title: "step", className: "number", cell: ({ event }) => quantity(event.step) },
      { title: "severity", cell: ({ event }) => badge(event.level, "") },
      { title: "event", cell: ({ event }) => `<b>${escapeText(event.name)}</b>` },
      { title: "what happened", className: "wide", cell: ({ event }) => escapeText(facts(event)) },
      {
        title: "what to do",
        className: "wide",
        cell: ({ event }) => escapeText(runbook(event.name) ?? "See docs/operations.md."),
      },
    ],
    alerts,
  );
}

function pathOf(name: string): string {
  return `/runs/${encodeURIComponent(name)}`;
}
