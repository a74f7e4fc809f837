/** The pages of the dashboard as HTML: the runs, one run, runs side by side, alerts. */
import { isGrowing } from "../../contracts/index.js";
import type { RunState } from "../folder/list-runs.js";
import type { Look } from "../report/charts.js";
import type { RunEvent, RunHistory } from "../report/history.js";
import { drawNetwork } from "../report/network.js";
import { reportBody } from "../report/page.js";
import { STYLE } from "../report/style.js";
import { element, escapeText } from "../report/svg.js";
import { badge, facts, quantity, table } from "../report/tables.js";
import { type ComparedRun, compareBody } from "./compare.js";
import type { Runbook } from "./runbook.node.js";
import type { RunRow } from "./runs.node.js";
import { pathOf, runsForm, runsTable } from "./runs-table.js";

/** Added to the style of reports. */
export const DASHBOARD_STYLE = `${STYLE}
nav{display:flex;gap:18px;padding:10px 20px;border-bottom:1px solid var(--line);background:var(--card)}
a{color:var(--accent)}nav a[aria-current]{color:var(--text);font-weight:600;text-decoration:none}
.bar{display:flex;flex-wrap:wrap;gap:10px 18px;align-items:end;margin:16px 0}
form.bar label{font-size:13px;color:var(--quiet);display:grid;gap:2px}
form.bar label.long{flex:1 1 260px}form.bar input[type=number]{width:110px}
.chart[data-box]{touch-action:pan-y}.selection{fill:var(--accent);opacity:.18}
button,select,input{font:inherit;font-size:14px;color:var(--text);background:var(--card);border:1px solid var(--quiet);border-radius:8px;padding:5px 10px}
input[type=range]{padding:0;accent-color:var(--accent);width:100%}
button{cursor:pointer}button:disabled{opacity:.55;cursor:default}
p.bar{margin:10px 0}
th button{border:0;padding:0;background:none;color:var(--quiet);font-weight:600;font-size:13px}
th[aria-sort=ascending] button::after{content:" ▲"}th[aria-sort=descending] button::after{content:" ▼"}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
dialog{border:1px solid var(--line);border-radius:12px;background:var(--card);color:var(--text);max-width:420px}
dialog::backdrop{background:#0008}dialog p{margin-top:0}
.danger{border-color:var(--bad);color:var(--bad)}
[role=status]{font-size:14px;min-height:21px;display:block}
p.quiet{margin:0 0 10px;font-size:13px}
.badge{color:var(--text);background:none!important;border:1px solid var(--quiet)}
@media (max-width:700px){nav{padding:10px 12px}td.wide{min-width:220px}.chart,.pair .chart{min-width:0}
.chart text,.chart text.tick,.chart .cross text,.pair .chart text,.pair .chart text.tick{font-size:13px}
.tile b{font-size:19px}.network{min-width:0}.network text{font-size:17px}}
`;

/** Rows of a table on the page of a run. */
const ROWS_SHOWN = 200;

/** What a page is made of, besides what {@link shell} adds. */
interface Page {
  readonly title: string;
  readonly place: "runs" | "alerts" | "";
  /** Where the part that changes comes from; the part itself as it is now. */
  readonly view: string;
  readonly body: string;
  /** What stands above it, and stays. */
  readonly above?: string;
  /** Where it is told that the run has more lines; without one the page looks again now and then. */
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

export function runsPage(rows: readonly RunRow[], query: URLSearchParams): string {
  return shell({
    title: "Runs",
    place: "runs",
    view: "/view",
    above: `<h1>Runs</h1>${runsForm(query)}`,
    body: runsTable(rows, query),
  });
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
    stream: `${pathOf(view.name)}/count`,
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
  return (
    element("div", facts) +
    reportBody(history, { look, network: drawNetwork(history, blocks), rows: ROWS_SHOWN })
  );
}

/** How the curves are drawn, and which step is looked at. */
function lookForm({ name, lastStep, state }: RunView): string {
  const back = element("input", { type: "range", name: "at", min: 0, max: lastStep, value: lastStep });
  return `<p class="quiet">${escapeText(name)} · <span id="state">${state}</span></p>
<form class="bar" id="look">
${curveControls()}
<label class="long"><span>Step <b id="at">${quantity(lastStep)}</b></span> ${back}</label>
<button type="button" id="live" aria-pressed="true">Live</button>
</form>`;
}

function curveControls(): string {
  const select = (id: string, title: string, options: Readonly<Record<string, string>>): string => {
    const written = Object.entries(options).map(([value, text]) => element("option", { value }, text));
    return `<label>${title} ${element("select", { name: id }, written.join(""))}</label>`;
  };
  return `${select("axis", "Over", { step: "steps", flops: "FLOPs", time: "time" })}
${select("scale", "Loss axis", { "": "as it fits", log: "logarithmic", linear: "linear" })}
<label>Smoothing <input type="range" name="smoothing" min="0" max="0.95" step="0.05" value="0"></label>
<label>From step <input type="number" name="from" min="0" step="1" size="7"></label>
<label>to step <input type="number" name="to" min="1" step="1" size="7"></label>
<button type="button" id="whole" disabled title="Escape, or a double click on a chart">Whole run</button>`;
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

export function comparePage(runs: readonly ComparedRun[], look: Look): string {
  const query = runs.map(({ name }) => `run=${encodeURIComponent(name)}`).join("&");
  return shell({
    title: "Compare",
    place: "",
    view: `/compare/view?${query}`,
    body: compareBody(runs, look),
    above: `<form class="bar" id="look">${curveControls()}</form>`,
  });
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
