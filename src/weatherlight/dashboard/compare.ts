/**
 * Runs side by side: what was asked for otherwise, what they came to, and their curves. Runs that were asked for the same but for the
 * random seed are a group: one line with a band, and pairs of the same seed with another group.
 */
import { maxOf, mean, meanInterval } from "../../base/index.js";
import { SCORE_TITLES, type ScoreName, TASK_TRAITS } from "../../contracts/index.js";
import { formatGain, formatScore, testScore } from "../folder/growth-lines.js";
import { OWN_OPTIONS } from "../folder/list-runs.js";
import {
  axisOf,
  courseOf,
  type Field,
  type Look,
  placesOf,
  seedColor,
  shown,
  smoothed,
} from "../report/charts.js";
import type { RunHistory, Sample } from "../report/history.js";
import type { LineChart, Series } from "../report/line-chart.js";
import { readings } from "../report/line-chart.js";
import { asText, chartCard, section } from "../report/page.js";
import { element, escapeText } from "../report/svg.js";
import { table } from "../report/tables.js";

/** One of the runs that are compared. */
export interface ComparedRun {
  readonly name: string;
  readonly history: RunHistory;
}

/** What a run was asked for, but for its random seed: the same text for the runs of a group. */
export function groupKeyOf(config: Readonly<Record<string, unknown>>): string {
  const asked = Object.entries(config).filter(
    ([key, value]) => !OWN_OPTIONS.has(key) && key !== "seed" && value !== undefined,
  );
  return JSON.stringify(asked.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Those of one key together, in the order in which they come. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()];
}

interface Group {
  readonly name: string;
  readonly runs: readonly ComparedRun[];
}

/** @param look how the curves are drawn */
export function compareBody(runs: readonly ComparedRun[], look: Look): string {
  if (runs.length === 0) return `<h1>Compare</h1><p>Choose runs in the table of runs.</p>`;
  const groups = groupsOf(runs);
  const lastStep = lastStepOf(runs);
  const charts = chartsOfRuns(runs).map((chart) => shown(chartOf(chart, groups, look), look));
  const data = JSON.stringify(charts.map(readings)).replaceAll("<", "\\u003c");
  return `<h1>Compare</h1>
${section("What was asked for otherwise", differences(runs))}
${section("What they came to", outcomes(groups))}
${section("Learning", charts.map((one) => chartCard(one, { lastStep })).join(""))}
<script type="application/json" id="readings">${data}</script>`;
}

export function lastStepOf(runs: readonly ComparedRun[]): number {
  return maxOf([0, ...runs.map(({ history }) => history.lastStep)]);
}

function groupsOf(runs: readonly ComparedRun[]): Group[] {
  return grouped(runs, ({ history }) => groupKeyOf(history.config)).map((members) => ({
    name:
      members.length === 1 ? (members[0]?.name ?? "") : `${members[0]?.name} and ${members.length - 1} more`,
    runs: members,
  }));
}

interface ChartOf {
  readonly id: string;
  readonly title: string;
  readonly field: Field;
  readonly format: (value: number) => string;
}

const lossText = (value: number): string => value.toFixed(4);

function chartsOfRuns(runs: readonly ComparedRun[]): readonly ChartOf[] {
  return [
    { id: "loss", title: "Held-out loss", field: "val_loss", format: lossText },
    ...scoresOf(runs).map((name): ChartOf => {
      const format = (value: number) => formatScore({ name, value });
      const title = SCORE_TITLES[name].replace(/^./, (letter) => letter.toUpperCase());
      return { id: name, title, field: `val_${name}`, format };
    }),
    { id: "train", title: "Training loss", field: "train_loss", format: lossText },
  ];
}

/** Of the tasks of the runs. */
function scoresOf(runs: readonly ComparedRun[]): readonly ScoreName[] {
  return [...new Set(runs.map(({ history }) => TASK_TRAITS[history.task].score))];
}

function chartOf({ id, title, field, format }: ChartOf, groups: readonly Group[], look: Look): LineChart {
  const what = field === "train_loss" ? "on what is learned from" : "held out";
  const isBanded = groups.some(({ runs }) => runs.length > 1);
  const courses = groups.flatMap(({ runs }) => runs.map(({ history }) => history.observations));
  return {
    ...axisOf(courses, look),
    id,
    title,
    caption: isBanded ? `${what}; of several seeds the mean, with a band of two standard errors` : what,
    series: groups
      .map(({ name, runs }, i): Series => {
        return {
          name,
          color: seedColor(i),
          samples: smoothed(meanCourse(runs, field, look), look.smoothing),
        };
      })
      .filter(({ samples }) => samples.length > 0),
    format,
    mayBeLog: field === "val_loss" || field === "train_loss",
    ...(look.scale && { scale: look.scale }),
  };
}

/** Where each of them has a value; of several the mean, at the mean of the places where they have it. */
function meanCourse(runs: readonly ComparedRun[], field: Field, look: Look): readonly Sample[] {
  const [first, ...others] = runs.map(({ history: { observations } }) => ({
    samples: courseOf(observations, { axis: "step", smoothing: 0 }, field),
    place: placesOf(observations, look.axis),
  }));
  if (!first) return [];
  const byStep = others.map(({ samples }) => new Map(samples.map(({ step, value }) => [step, value])));
  return first.samples.flatMap(({ step, value }) => {
    const values = [value, ...byStep.flatMap((course) => course.get(step) ?? [])];
    if (values.length <= others.length) return [];
    const place = mean([first, ...others].map((one) => one.place(step)));
    if (others.length === 0) return [{ step: place, value }];
    const { mean: middle, stdErr } = meanInterval(values);
    return [{ step: place, value: middle, stdErr }];
  });
}

/** Options that are not the same in all runs; where the runs lie is none. */
function differences(runs: readonly ComparedRun[]): string {
  const keys = [...new Set(runs.flatMap(({ history }) => Object.keys(history.config)))];
  const textOf = ({ history }: ComparedRun, key: string): string =>
    history.config[key] === undefined ? "–" : asText(history.config[key]);
  const differing = keys
    .filter((key) => !OWN_OPTIONS.has(key))
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

/** A figure that a run came to, and how it is written. */
interface Figure {
  readonly title: string;
  readonly of: (run: ComparedRun) => number | undefined;
  readonly text: (value: number) => string;
  /** Of a difference, signed. */
  readonly differenceText: (value: number) => string;
}

/** Scores on the test set, where every run has its report; else where they are now, held out. */
function figuresOf(runs: readonly ComparedRun[]): readonly Figure[] {
  const onTest = (name: ScoreName, { history: { summary } }: ComparedRun): number | undefined => {
    const score = summary && testScore(summary);
    return score?.name === name ? (score.value ?? undefined) : undefined;
  };
  const last = ({ history }: ComparedRun) => history.observations.at(-1);
  const scores = scoresOf(runs).map((name): Figure => {
    const areOver = runs.every((run) => onTest(name, run) !== undefined);
    return {
      title: `${SCORE_TITLES[name]}, ${areOver ? "test" : "held out"}`,
      of: (run) => (areOver ? onTest(name, run) : (last(run)?.[`val_${name}`] ?? undefined)),
      text: (value) => formatScore({ name, value }),
      differenceText: (value) => formatGain({ name, value }),
    };
  });
  const loss: Figure = {
    title: "loss, held out",
    of: (run) => last(run)?.val_loss ?? undefined,
    text: lossText,
    differenceText: (value) => `${value > 0 ? "+" : ""}${lossText(value)}`,
  };
  return [...scores, loss];
}

function outcomes(groups: readonly Group[]): string {
  const [reference] = groups;
  const figures = figuresOf(groups.flatMap(({ runs }) => runs));
  return table<Group>(
    [
      { title: "run", cell: ({ name }) => escapeText(name) },
      { title: "seeds", className: "number", cell: ({ runs }) => String(runs.length) },
      ...figures.flatMap((figure) => [
        {
          title: figure.title,
          className: "number",
          cell: ({ runs }: Group) => meanText(runs.map(figure.of), figure.text),
        },
        {
          title: `less ${escapeText(reference?.name ?? "")}`,
          className: "number",
          cell: (group: Group) =>
            group === reference || !reference ? "–" : pairedText(reference, group, figure),
        },
      ]),
    ],
    groups,
    element(
      "p",
      { class: "quiet" },
      "± half of the 95 % interval. Differences are of runs with the same random seed, one pair each; a single pair has no interval.",
    ),
  );
}

/** The mean of what is known of the members of a group, with half of its 95 % interval where there are several. */
export function meanText(known: readonly (number | undefined)[], text: (value: number) => string): string {
  const values = known.filter((value) => value !== undefined);
  if (values.length === 0) return "–";
  const { mean, half } = meanInterval(values);
  return values.length === 1 ? text(mean) : `${text(mean)} ± ${text(half)}`;
}

function pairedText(reference: Group, group: Group, { of, differenceText }: Figure): string {
  const seedOf = ({ history }: ComparedRun): string => String(history.config.seed ?? 0);
  const before = new Map(reference.runs.map((run) => [seedOf(run), of(run)]));
  const found = group.runs.flatMap((run) => {
    const [from, to] = [before.get(seedOf(run)), of(run)];
    return from === undefined || to === undefined ? [] : [to - from];
  });
  if (found.length === 0) return `<span class="quiet">no pair</span>`;
  const { mean, half } = meanInterval(found);
  const interval = found.length === 1 ? "" : ` ± ${differenceText(half).replace(/^[+±]/, "")}`;
  const pairs = element(
    "span",
    { class: "quiet" },
    `${found.length} ${found.length === 1 ? "pair" : "pairs"}`,
  );
  return `${differenceText(mean)}${interval} ${pairs}`;
}
