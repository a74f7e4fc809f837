/** The line charts of a report, from the history of a run. */

import { formatFlops, maxOf } from "../../base/index.js";
import { SCORE_TITLES, type ScoreName, TASK_TRAITS } from "../../contracts/index.js";
import type { Observation, RunHistory, Sample, SeedTrack } from "./history.js";
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
  /** What they are drawn over. */
  readonly axis: "step" | "flops";
  /** Part of the last value in a smoothed one, 0 (none) to below 1. */
  readonly smoothing: number;
  /** Of a loss; left out: what suits it. */
  readonly scale?: "log" | "linear";
  /** Drawn for a narrow screen. Default false. */
  readonly narrow?: boolean;
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
    ...costCharts(history),
  ]
    .filter(({ series }) => series.length > 0)
    .map((chart) => (look.narrow ? { ...chart, width: NARROW_WIDTH } : chart));
}

function lossChart(history: RunHistory, look: Look): LineChart {
  const { observations, alone } = history;
  return {
    ...axisOf(history, look),
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
    ...axisOf(history, look),
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
  const flops = new Map(observations.map(({ step, flops_total }) => [step, flops_total]));
  const samples = samplesOf(observations, field, smoothing > 0 ? undefined : stdErrField);
  const placed =
    axis === "step" ? samples : samples.map((sample) => ({ ...sample, step: flops.get(sample.step) ?? 0 }));
  return smoothed(placed, smoothing);
}

/** The losses of single steps, smoothed as asked and thinned before they are placed: there may be millions. */
function stepLosses({ losses, observations }: RunHistory, { axis, smoothing }: Look): Sample[] {
  const values = smoothing > 0 ? smoothedValues(losses, smoothing) : losses;
  const samples = thinnedIndices(values).map((i) => ({ step: i + 1, value: values[i] ?? Number.NaN }));
  return axis === "step" ? samples : overFlops(samples, observations);
}

/** Places samples of any step over FLOPs, which are known at observations and run evenly between them. */
function overFlops(samples: readonly Sample[], observations: readonly Observation[]): Sample[] {
  let [before, next] = [{ step: 0, flops_total: 0 }, 0];
  return samples.flatMap((sample) => {
    for (let known = observations[next]; known && known.step < sample.step; known = observations[++next])
      before = known;
    const after = observations[next];
    if (!after) return [];
    const part = (sample.step - before.step) / (after.step - before.step);
    return [{ ...sample, step: before.flops_total + part * (after.flops_total - before.flops_total) }];
  });
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

function axisOf({ observations, alone }: RunHistory, { axis }: Look): { readonly axis?: Axis } {
  if (axis === "step") return {};
  const end = maxOf([1, ...[...observations, ...alone].map(({ flops_total }) => flops_total)]);
  return { axis: { name: "FLOPs", format: flopTick, end } };
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
  const place = (step: number): number =>
    axis === "step" ? step : (history.observations.findLast((one) => one.step <= step)?.flops_total ?? 0);
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
