/** What operators are given holds together: rules, runbook, dashboard, and the metrics that there are. */
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { findTool } from "../src/base/tools.fixture.js";
import { EVENT_NAMES, METRIC_NAMES } from "../src/contracts/index.js";
import { PrometheusExporter, prometheusName } from "../src/weatherlight/telemetry/prometheus.node.js";

const root = new URL("..", import.meta.url).pathname;
const read = (path: string): Promise<string> => readFile(`${root}${path}`, "utf8");
const promtool = findTool("prometheus", ["promtool"]);

const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(" ", "-");

test("every alert leads to a section of the runbook", async () => {
  const [rules, runbook] = await Promise.all([read("ops/alerts.yaml"), read("docs/operations.md")]);
  const anchors = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));
  const links = [...rules.matchAll(/runbook: docs\/operations\.md#(\S+)/g)].map(([, anchor = ""]) => anchor);
  expect(links.length).toBe([...rules.matchAll(/- alert:/g)].length);
  expect(links.filter((anchor) => !anchors.includes(anchor))).toEqual([]);
});

/** Reported at level INFO alone. */
const HARMLESS = new Set([
  "seed_stage",
  "gate_event",
  "command_duplicate",
  "prefetch_requested",
  "prefetch_ready",
  "seed_paused",
  "seed_resumed",
  "teacher_registered",
  "teacher_deregistered",
  "rollback_ready",
  "optimizer_adjusted",
]);

test("every event that may be more than information stands in the runbook", async () => {
  const runbook = await read("docs/operations.md");
  const expected = EVENT_NAMES.filter((name) => !HARMLESS.has(name));
  expect(expected.filter((name) => !runbook.includes(`\`${name}\``))).toEqual([]);
});

/** The kinds of a union in a source: `kind: "…"`. */
async function kindsOf(path: string, type: string): Promise<string[]> {
  const [, union = ""] = new RegExp(`export type ${type} =(.*?);\n\n`, "s").exec(await read(path)) ?? [];
  return [...union.matchAll(/kind: "(\w+)"/g)].map(([, kind = ""]) => kind);
}

test("whatever a service may print stands in the runbook", async () => {
  const [runbook, alerts, programs, notices] = await Promise.all([
    read("docs/operations.md"),
    kindsOf("src/weatherlight/services/weatherlight-service.ts", "Alert"),
    kindsOf("src/weatherlight/services/supervisor.ts", "SupervisorAlert"),
    kindsOf("src/oona/redis-streams.ts", "BusNotice"),
  ]);
  expect([alerts.length, programs.length, notices.length]).toEqual([7, 2, 6]);
  const printed = [...alerts, ...programs, ...notices.map((kind) => `bus ${kind}`)];
  expect(printed.filter((name) => !runbook.includes(`\`${name}\``))).toEqual([]);
});

test("rules and dashboard ask for series that there are", async () => {
  const exported = (await new PrometheusExporter().render()).text;
  const known = new Set([...exported.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name));
  const asked = `${await read("ops/alerts.yaml")} ${await read("ops/grafana-dashboard.json")}`.matchAll(
    /\b(?:kasmina|tolaria)_[a-z_]+/g,
  );
  const names = [...asked].map(([name]) => name.replace(/_bucket$/, ""));
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

test("the page on observability names every series, with what it is", async () => {
  const [page, exported] = await Promise.all([
    read("docs/observability.md"),
    new PrometheusExporter().render().then(({ text }) => text),
  ]);
  for (const metric of METRIC_NAMES) {
    const name = prometheusName(metric);
    const help = new RegExp(`^# HELP ${name} (.+)$`, "m").exec(exported)?.[1] ?? "no help";
    expect(page).toContain(`| \`${name}\` |`);
    expect(page).toContain(help);
  }
});

test.skipIf(!promtool)("each alert fires where it should and nowhere else", () => {
  const run = (...args: string[]): string =>
    execFileSync(promtool ?? "", args, { cwd: root, encoding: "utf8" });
  expect(run("check", "rules", "ops/alerts.yaml")).toContain("SUCCESS");
  expect(run("check", "config", "ops/prometheus.yaml")).toContain("SUCCESS");
  expect(run("test", "rules", "ops/alerts.test.yaml")).toContain("SUCCESS");
});
