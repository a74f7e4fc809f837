/** The line charts of a report, from the history of a run. */

import { formatFlops, maxOf } from "../../base/index.js";
import { SCORE_TITLES, type ScoreName, TASK_TRAITS } from "../../contracts/index.js";
import type { Figures, Observation, RunHistory, Sample, SeedTrack } from "./history.js";
import { type Axis, type LineChart, type Mark, type Series, thinnedIndices } from "./line-chart.js";
import { stageColor } from "./stage-chart.js";

/** Colours of the page for seeds, in turn. */
const SEED_COLORS = 8;
/** More seeds than this would be a thicket; the last ones are drawn. */
const SEEDS_DRAWN = 16;
/** Of a chart that shares its row with another one. */
const HALF_WIDTH = 460;
/** Of any chart on a narrow screen. */
export const NARROW_WIDTH = 400;
/** The stages whose beginning is worth a line in the charts of the whole network. */
const MARKED: ReadonlySet<string> = new Set(["BLENDING", "FOSSILIZED", "CULLED"]);

/** How a reader wants to see the curves of learning. */
export interface Look {
  /** What they are drawn over; runs of the time before they wrote when they did what have no time. */
  readonly axis: "step" | "flops" | "time";
  /** The steps that are shown, in all charts alike. Default: all. */
  readonly window?: StepWindow;
  /** Part of the last value in a smoothed one, 0 (none) to below 1. */
  readonly smoothing: number;
  /** Of a loss; left out: what suits it. */
  readonly scale?: "log" | "linear";
  /** Drawn for a narrow screen. Default false. */
  readonly narrow?: boolean;
}

export interface StepWindow {
  readonly from: number;
  readonly to: number;
}

export const PLAIN_LOOK: Look = { axis: "step", smoothing: 0 };

export function seedsDrawn(history: RunHistory): readonly SeedTrack[] {
  return history.seeds.slice(-SEEDS_DRAWN);
}

export function seedColor(index: number): string {
  return `var(--seed-${index % SEED_COLORS})`;
}

/** Loss, accuracy, alpha, effect of each seed, parameters, FLOPs; those that have something to show. */
export function chartsOf(history: RunHistory, look: Look = PLAIN_LOOK): readonly LineChart[] {
  return [
    lossChart(history, look),
    scoreChart(history, look),
    alphaChart(history),
    effectChart(history),
    isolationChart(history),
    ...costCharts(history),
    ...machineCharts(history),
  ]
    .filter(({ series }) => series.length > 0)
    .map((chart) => shown(chart, look));
}

/** As the reader wants it: as wide, and of the steps that are looked at. */
export function shown(chart: LineChart, { narrow, window }: Look): LineChart {
  const sized = narrow ? { ...chart, width: NARROW_WIDTH } : chart;
  if (!window) return sized;
  const place = chart.axis?.placeOf ?? ((step: number) => step);
  const domain = [place(window.from), place(window.to)] as const;
  const isInside = ({ step }: { readonly step: number }): boolean => step >= domain[0] && step <= domain[1];
  return {
    ...sized,
    domain,
    series: chart.series.map((one) => {
      // What holds its value holds it at the edge too.
      const before = one.stepped ? one.samples.filter(({ step }) => step < domain[0]).slice(-1) : [];
      const atEdge = before.map((sample) => ({ ...sample, step: domain[0] }));
      return { ...one, samples: [...atEdge, ...one.samples.filter(isInside)] };
    }),
    ...(chart.marks && { marks: chart.marks.filter(isInside) }),
  };
}

function lossChart(history: RunHistory, look: Look): LineChart {
  const { observations, alone } = history;
  return {
    ...axisOf([observations, alone], look),
    ...(look.scale && { scale: look.scale }),
    id: "loss",
    title: "Loss",
    caption: `${TASK_TRAITS[history.task].loss}; band: two standard errors; dotted: a seed is blended in, kept or culled`,
    series: present([
      {
        name: "training",
        color: "var(--soft)",
        faint: true,
        samples:
          history.losses.length > 0 ? stepLosses(history, look) : courseOf(observations, look, "train_loss"),
      },
      {
        name: "host alone, held out",
        color: "var(--alone)",
        dashed: true,
        samples: courseOf(alone, look, "val_loss"),
      },
      {
        name: "held out",
        color: "var(--accent)",
        samples: courseOf(observations, look, "val_loss", "val_loss_std_err"),
      },
    ]),
    format: (value) => value.toFixed(4),
    marks: marksOf(history, look),
    mayBeLog: true,
    height: 250,
  };
}

/** The charts of scores, by what they are called. */
const SCORE_CAPTIONS: { readonly [S in ScoreName]: string } = {
  accuracy: "right predictions, held out",
  r2: "part of what the targets vary by that is told, held out",
  micro_f1: "F1 over all labels together, held out",
};

function scoreChart(history: RunHistory, look: Look): LineChart {
  const { score } = TASK_TRAITS[history.task];
  const field = `val_${score}` as const;
  const title = SCORE_TITLES[score];
  return {
    ...axisOf([history.observations, history.alone], look),
    id: "score",
    title: `${title.charAt(0).toUpperCase()}${title.slice(1)}`,
    caption: SCORE_CAPTIONS[score],
    series: present([
      {
        name: "host alone",
        color: "var(--alone)",
        dashed: true,
        samples: courseOf(history.alone, look, field),
      },
      {
        name: "grown",
        color: "var(--accent)",
        samples: courseOf(history.observations, look, field),
      },
    ]),
    ...(score === "r2"
      ? { format: (value: number) => value.toFixed(4) }
      : {
          format: (value: number) => `${(100 * value).toFixed(1)} %`,
          tickFormat: (value: number) => `${Math.round(100 * value)} %`,
        }),
    marks: marksOf(history, look),
  };
}

function alphaChart(history: RunHistory): LineChart {
  const series = seedsDrawn(history).map((seed, i): Series => {
    const known = seed.alpha.at(-1);
    const end = known && seed.stages.at(-1)?.stage !== "CULLED" ? [{ ...known, step: history.lastStep }] : [];
    const start = seed.alpha[0] ? [{ step: Math.max(0, seed.alpha[0].step - 1), value: 0 }] : [];
    return {
      name: seed.id,
      color: seedColor(i),
      stepped: true,
      samples: known ? [...start, ...seed.alpha, ...end] : [],
    };
  });
  return {
    id: "alpha",
    title: "Alpha",
    caption: "how much of each seed is in the network's output",
    series: present(series),
    format: (value) => value.toFixed(2),
    include: [0, 1],
    height: 150,
  };
}

function effectChart(history: RunHistory): LineChart {
  const series = seedsDrawn(history).flatMap((seed, i): Series[] => [
    { name: `${seed.id} in the shadow`, color: seedColor(i), dashed: true, samples: seed.shadowGain },
    { name: `${seed.id} contributes`, color: seedColor(i), samples: seed.contribution },
  ]);
  return {
    id: "effect",
    title: "What each seed brings",
    caption:
      "held-out loss without it less the loss with it: dashed while it trains in the shadow, then in the output; the band is two standard errors",
    series: present(series),
    format: (value) => value.toFixed(4),
    include: [0],
    height: 210,
  };
}

function isolationChart({ figures }: RunHistory): LineChart {
  const leak = { name: "leak ratio", color: "var(--bad)", samples: figuresOver(figures, "leak_ratio") };
  return {
    id: "isolation",
    title: "Isolation",
    caption:
      "the largest that a seed, as the monitor reads it, adds to the gradients of its host, relative to them: 0 where it is isolated",
    series: present([leak]),
    format: (value) => String(Number(value.toPrecision(2))),
    include: [0],
    height: 130,
  };
}

function machineCharts({ figures }: RunHistory): LineChart[] {
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20).toLocaleString("en-US")} MiB`;
  const half = { include: [0], width: HALF_WIDTH, height: 170 };
  return [
    {
      ...half,
      id: "memory",
      title: "Memory",
      caption: "resident, of the process that trains",
      series: present([
        { name: "resident", color: "var(--accent)", samples: figuresOver(figures, "resident_bytes") },
      ]),
      format: mebibytes,
      tickFormat: mebibytes,
    },
    {
      ...half,
      id: "stall",
      title: "Stall",
      caption: "that training stood still at grafts, since the observation before",
      series: present([{ name: "stall", color: "var(--accent)", samples: figuresOver(figures, "stall_ms") }]),
      format: (value) => `${value.toFixed(1)} ms`,
    },
  ];
}

function figuresOver(
  figures: readonly Figures[],
  field: "leak_ratio" | "stall_ms" | "resident_bytes",
): Sample[] {
  return figures.flatMap((one) => {
    const value = one[field];
    return typeof value === "number" ? [{ step: one.step, value }] : [];
  });
}

function costCharts({ observations, alone }: RunHistory): LineChart[] {
  const parameters = {
    name: "with seeds",
    color: "var(--accent)",
    stepped: true,
    samples: samplesOf(observations, "params_total"),
  };
  return [
    {
      id: "parameters",
      title: "Parameters",
      caption: "of the network and the seeds in parallel with it",
      series: present([parameters]),
      format: compact,
      tickFormat: compact,
      include: [0],
      width: HALF_WIDTH,
      height: 170,
    },
    {
      id: "flops",
      title: "FLOPs",
      caption: "all that was computed: steps, shadow passes, evaluations, seeds that were culled",
      series: present([
        {
          name: "host alone",
          color: "var(--alone)",
          dashed: true,
          samples: samplesOf(alone, "flops_total"),
        },
        { name: "grown", color: "var(--accent)", samples: samplesOf(observations, "flops_total") },
      ]),
      format: formatFlops,
      tickFormat: flopTick,
      include: [0],
      width: HALF_WIDTH,
      height: 170,
    },
  ];
}

/** 1.2 GFLOP as 1.2 G: what it is of, the title says. */
function flopTick(value: number): string {
  return value === 0
    ? "0"
    : formatFlops(value)
        .replace(/(\.\d*?)0+ /, "$1 ")
        .replace(/\.? (.)FLOP/, " $1");
}

/** Made once: to make one takes as long as to draw a curve. */
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

/** 147,666 as 148k, 1.8e12 as 1.8T. */
export function compact(value: number): string {
  return COMPACT.format(value).replace("K", "k");
}

export type Field =
  | "train_loss"
  | "val_loss"
  | "val_loss_std_err"
  | `val_${ScoreName}`
  | "params_total"
  | "flops_total";

/** A field over what the reader wants it over, smoothed as asked; what is smoothed has no band. */
export function courseOf(
  observations: readonly Observation[],
  { axis, smoothing }: Look,
  field: Field,
  stdErrField?: Field,
): Sample[] {
  const place = placesOf(observations, axis);
  const samples = samplesOf(observations, field, smoothing > 0 ? undefined : stdErrField);
  const placed = samples.map((sample) => ({ ...sample, step: place(sample.step) }));
  return smoothed(placed, smoothing);
}

/** The losses of single steps that are looked at, smoothed as asked and thinned before they are placed: there may be millions. */
function stepLosses({ losses, observations }: RunHistory, { axis, smoothing, window }: Look): Sample[] {
  const values = smoothing > 0 ? smoothedValues(losses, smoothing) : losses;
  const from = Math.max(0, (window?.from ?? 0) - 1);
  const place = placesOf(observations, axis);
  // What has been computed by a step, and when it was done, is known up to the last observation.
  const known = axis === "step" ? losses.length : (observations.at(-1)?.step ?? 0);
  return thinnedIndices(values.slice(from, Math.min(known, window?.to ?? known))).map((i) => ({
    step: place(from + i + 1),
    value: values[from + i] ?? Number.NaN,
  }));
}

/** Where a step stands on what the reader wants the curves over: itself, the FLOPs until then, or the seconds since the first observation. */
export function placesOf(observations: readonly Observation[], axis: Look["axis"]): (step: number) => number {
  const startMs = observations[0]?.at_ms ?? undefined;
  if (axis === "step" || (axis === "time" && startMs === undefined)) return (step) => step;
  const measureOf = ({ flops_total, at_ms }: Observation): number =>
    axis === "flops" ? flops_total : ((at_ms ?? Number.NaN) - (startMs ?? 0)) / 1_000;
  const known = new Map(observations.map((one) => [one.step, measureOf(one)]));
  return (step) => known.get(step) ?? between(observations, step, measureOf);
}

/** At a step that was not observed: on the line between those beside it, of which the run's beginning is one. */
function between(
  observations: readonly Observation[],
  step: number,
  measureOf: (observation: Observation) => number,
): number {
  let [before, after] = [-1, observations.length];
  while (after - before > 1) {
    const middle = (before + after) >> 1;
    if ((observations[middle]?.step ?? 0) <= step) before = middle;
    else after = middle;
  }
  const [left, right] = [observations[before], observations[after]];
  const [fromStep, from] = left ? [left.step, measureOf(left)] : [0, 0];
  if (!right) return from;
  return from + ((step - fromStep) / (right.step - fromStep)) * (measureOf(right) - from);
}

/** Exponential moving average, its first values weighed as if there had been others before them (Adam's bias correction). */
export function smoothed(samples: readonly Sample[], weight: number): Sample[] {
  if (weight <= 0) return [...samples];
  const values = smoothedValues(
    samples.map(({ value }) => value),
    weight,
  );
  return samples.map((sample, i) => ({ ...sample, value: values[i] ?? Number.NaN }));
}

function smoothedValues(values: ArrayLike<number>, weight: number): Float64Array {
  let [sum, total] = [0, 0];
  return Float64Array.from(values, (value) => {
    if (!Number.isFinite(value)) return value;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/** The axis that holds all of these courses, where it is not one of steps; steps stand on it as on the longest. */
export function axisOf(
  courses: readonly (readonly Observation[])[],
  { axis }: Look,
): { readonly axis?: Axis } {
  const longest = courses.reduce((a, b) => ((b.at(-1)?.step ?? 0) > (a.at(-1)?.step ?? 0) ? b : a), []);
  if (axis === "step" || (axis === "time" && longest[0]?.at_ms === undefined)) return {};
  const ends = courses.map((all) => placesOf(all, axis)(all.at(-1)?.step ?? 0));
  const end = maxOf([Number.MIN_VALUE, ...ends]);
  return { axis: { ...(axis === "flops" ? FLOPS : TIME), end, placeOf: placesOf(longest, axis) } };
}

const FLOPS = { name: "FLOPs", format: flopTick };
const TIME = { name: "time", format: timeTick };

/** 90 s, 12.5 min, 3.25 h. */
function timeTick(seconds: number): string {
  const short = (value: number): string => String(Number(value.toPrecision(3)));
  if (seconds < 120) return `${short(seconds)} s`;
  return seconds < 7_200 ? `${short(seconds / 60)} min` : `${short(seconds / 3_600)} h`;
}

function samplesOf(observations: readonly Observation[], field: Field, stdErrField?: Field): Sample[] {
  return observations.flatMap((observation) => {
    const value = observation[field];
    if (typeof value !== "number") return [];
    const stdErr = stdErrField ? observation[stdErrField] : undefined;
    return [{ step: observation.step, value, ...(typeof stdErr === "number" && { stdErr }) }];
  });
}

function present(series: readonly Series[]): Series[] {
  return series.filter(({ samples }) => samples.length > 0);
}

function marksOf(history: RunHistory, { axis }: Look): Mark[] {
  const place = placesOf(history.observations, axis);
  return seedsDrawn(history).flatMap(({ id, stages }) =>
    stages
      .filter(({ stage }) => MARKED.has(stage))
      .map(({ stage, from }) => ({
        step: place(from),
        color: stageColor(stage),
        title: `${id}: ${stage}, step ${from}`,
      })),
  );
}
