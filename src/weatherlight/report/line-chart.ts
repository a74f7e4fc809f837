/** Lines over steps, with bands of uncertainty, as SVG. */
import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { maxOf, minOf } from "../../base/index.js";
import type { Sample } from "./history.js";
import { element, escapeText } from "./svg.js";

/** One line of a chart. */
export interface Series {
  readonly name: string;
  /** A CSS colour, of the page's variables. */
  readonly color: string;
  readonly samples: readonly Sample[];
  readonly dashed?: boolean;
  readonly faint?: boolean;
  /** Holds its value until the next sample. */
  readonly stepped?: boolean;
}

/** A vertical line at a step. */
export interface Mark {
  readonly step: number;
  readonly color: string;
  readonly title: string;
}

export interface LineChart {
  /** Unique in the page. */
  readonly id: string;
  readonly title: string;
  /** What the values are, in words. */
  readonly caption: string;
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** Of the values along the axis; default: as many decimals as they need. */
  readonly tickFormat?: (value: number) => string;
  readonly marks?: readonly Mark[];
  /** Values that the y axis must hold. */
  readonly include?: readonly number[];
  /** A logarithmic y axis, where all values are above 0 and far apart. */
  readonly mayBeLog?: boolean;
  /** Instead of that choice: what the reader asked for, as far as all values are above 0. */
  readonly scale?: "log" | "linear";
  /** What runs along the foot; default: steps. */
  readonly axis?: Axis;
  /** The part of it that is shown. Default: all. */
  readonly domain?: readonly [number, number];
  /** In the units of the view box; defaults {@link WIDTH} and 190. */
  readonly width?: number;
  readonly height?: number;
}

/** What runs along the foot of a chart. */
export interface Axis {
  readonly name: string;
  readonly format: (value: number) => string;
  /** Where it ends; default: the last step. */
  readonly end?: number;
  /** Where a step stands on it; default: it is one of steps. */
  readonly placeOf?: (step: number) => number;
}

const STEPS: Axis = { name: "step", format: (step) => step.toLocaleString("en-US") };

/** Width of a chart that has its row to itself, in the units of the view box. */
export const WIDTH = 960;
/** Room around a plot: the same in all charts, so that the same steps stand below each other. */
export const MARGIN = { left: 58, right: 14, top: 12, bottom: 24 } as const;

const LOG_FROM_RATIO = 20;
const LOG_ROOM = 1.1;
/** More points than this cannot be distinguished on a screen. */
const POINTS_MAX = 480;
const Y_TICKS = 4;
/** Between two steps that are named, in the units of the view box. */
const X_TICK_EVERY = 105;
/** Of the band around a value, in standard errors: about 95 %. */
const BAND = 2;

type Scale = ScaleContinuousNumeric<number, number>;

export function stepScale(domain: readonly [number, number], width: number = WIDTH): Scale {
  return scaleLinear(domain, [MARGIN.left, width - MARGIN.right]);
}

/**
 * The chart as SVG. `data-x-domain`, `data-y-domain`, `data-y-scale` and `data-box` (left, right, top, bottom) say how
 * values became places, `data-steps` which steps stand where along the foot, where it is not one of steps: place:step, in order.
 */
export function drawLineChart(whole: LineChart, lastStep: number): string {
  const series = whole.series.map((drawn) => ({ ...drawn, samples: thinned(drawn.samples) }));
  const chart = { ...whole, series };
  const { width = WIDTH, height = 190 } = chart;
  const x = stepScale(chart.domain ?? [0, chart.axis?.end ?? lastStep], width);
  const y = valueScale(chart, [height - MARGIN.bottom, MARGIN.top]);
  const parts = [
    stepAxis(x, height, chart.axis),
    valueAxis(y, x, chart),
    ...(chart.marks ?? []).map((mark) => drawMark(mark, x, height)),
    ...series.map((drawn) => drawBand(drawn, x, y)),
    ...series.map((drawn) => drawSeries(drawn, x, y)),
  ];
  const attributes = {
    class: "chart",
    id: chart.id,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `${chart.title}: ${chart.caption}`,
    "data-x-domain": x.domain().join(" "),
    "data-x-name": (chart.axis ?? STEPS).name,
    "data-steps": stepsAlong(chart.axis, lastStep),
    "data-y-domain": y.domain().join(" "),
    "data-y-scale": isLog(chart) ? "log" : "linear",
    "data-box": [...x.range(), MARGIN.top, height - MARGIN.bottom].join(" "),
  };
  return element("svg", attributes, parts.join(""));
}

/** Steps that are told along an axis that is not one of steps. */
const STEPS_TOLD = 100;

function stepsAlong(axis: Axis | undefined, lastStep: number): string | undefined {
  const { placeOf } = axis ?? {};
  if (!placeOf) return undefined;
  const steps = Array.from({ length: STEPS_TOLD + 1 }, (_, i) => Math.round((i * lastStep) / STEPS_TOLD));
  return steps.map((step) => `${placeOf(step)}:${step}`).join(" ");
}

/** What stands out stays, however many samples there are. */
export function thinned(samples: readonly Sample[]): Sample[] {
  if (samples.length <= POINTS_MAX) return [...samples];
  const kept = new Set(thinnedIndices(samples.map(({ value }) => value)));
  return samples.filter((_, index) => kept.has(index));
}

/** Where the least and the largest value of each bucket are, the first and the last one; in order. */
export function thinnedIndices(values: ArrayLike<number>): number[] {
  const { length } = values;
  if (length <= POINTS_MAX) return Array.from({ length }, (_, index) => index);
  const buckets = POINTS_MAX / 2 - 1;
  const kept = new Set([0, length - 1]);
  for (let bucket = 0; bucket < buckets; bucket++) {
    const from = Math.floor((bucket * length) / buckets);
    const to = Math.floor(((bucket + 1) * length) / buckets);
    for (const index of extremes(values, from, to)) kept.add(index);
  }
  return [...kept].sort((a, b) => a - b);
}

/** Where the least and the largest value of a range are; a value that is no number counts as either. */
function extremes(values: ArrayLike<number>, from: number, to: number): [number, number] {
  const valueAt = (index: number, instead: number): number => {
    const value = values[index] ?? Number.NaN;
    return Number.isNaN(value) ? instead : value;
  };
  let [least, largest] = [from, from];
  for (let index = from; index < to; index++) {
    if (valueAt(index, -Infinity) < valueAt(least, -Infinity)) least = index;
    if (valueAt(index, Infinity) > valueAt(largest, Infinity)) largest = index;
  }
  return [least, largest];
}

function valuesOf({ series, include = [] }: LineChart): number[] {
  const values = series.flatMap(({ samples }) =>
    samples.flatMap(({ value, stdErr = 0 }) => [value - BAND * stdErr, value + BAND * stdErr]),
  );
  return [...values, ...include].filter(Number.isFinite);
}

function isLog(chart: LineChart): boolean {
  const values = valuesOf(chart);
  const least = minOf(values);
  const largest = maxOf(values);
  if (!chart.mayBeLog || !(least > 0)) return false;
  return chart.scale ? chart.scale === "log" : largest / least > LOG_FROM_RATIO;
}

function valueScale(chart: LineChart, range: readonly [number, number]): Scale {
  const values = valuesOf(chart);
  const least = minOf(values);
  const largest = maxOf(values);
  if (values.length === 0) return scaleLinear([0, 1], range);
  // Rounded to whole decades, half of the chart could be empty.
  if (isLog(chart)) return scaleLog([least / LOG_ROOM, largest * LOG_ROOM], range);
  const room = least === largest ? Math.abs(least) || 1 : 0;
  return scaleLinear([least, largest + room], range).nice(Y_TICKS);
}

/** The axis of steps at the foot of a chart. */
export function stepAxis(x: Scale, height: number, { name: title, format }: Axis = STEPS): string {
  const foot = height - MARGIN.bottom;
  const [x1, x2] = x.range();
  const ticks = x.ticks(((x2 ?? 0) - (x1 ?? 0)) / X_TICK_EVERY).map((step) => {
    const at = { x: x(step), y: foot + 16, "text-anchor": "middle" };
    return element("text", { class: "tick", ...at }, format(step));
  });
  const name = { class: "tick", x: (x1 ?? 0) - 14, y: foot + 16, "text-anchor": "end" };
  return (
    element("line", { class: "axis", x1, x2, y1: foot, y2: foot }) +
    ticks.join("") +
    element("text", name, title)
  );
}

/** 0.02, not 0.0200 and not 20m. */
function shortest(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function valueAxis(y: Scale, x: Scale, chart: LineChart): string {
  const { tickFormat } = chart;
  const [x1, x2] = x.range();
  const format = tickFormat ?? (isLog(chart) ? shortest : y.tickFormat(Y_TICKS));
  return axisTicks(y)
    .map((value) => {
      const at = y(value);
      const label = { class: "tick", x: (x1 ?? 0) - 8, y: at + 4, "text-anchor": "end" };
      const grid = { class: value === 0 ? "zero" : "grid", x1, x2, y1: at, y2: at };
      return element("line", grid) + element("text", label, escapeText(format(value)));
    })
    .join("");
}

/** A logarithmic scale gives ticks by the dozen: of those, 1, 2 and 5 of each decade. */
function axisTicks(y: Scale): number[] {
  const ticks = y.ticks(Y_TICKS);
  if (ticks.length <= 2 * Y_TICKS) return ticks;
  return ticks.filter((tick) => ["1", "2", "5"].includes(tick.toExponential()[0] ?? ""));
}

function drawMark({ step, color, title }: Mark, x: Scale, height: number): string {
  const at = { class: "mark", x1: x(step), x2: x(step), y1: MARGIN.top, y2: height - MARGIN.bottom };
  return element("line", { ...at, style: `stroke:${color}` }, element("title", {}, escapeText(title)));
}

function drawSeries({ name, color, samples, dashed, faint, stepped }: Series, x: Scale, y: Scale): string {
  const path = line<Sample>(
    ({ step }) => x(step),
    ({ value }) => y(value),
  )
    .defined(({ value }) => Number.isFinite(value))
    .digits(2);
  if (stepped) path.curve(curveStepAfter);
  const className = ["line", ...(dashed ? ["dashed"] : []), ...(faint ? ["faint"] : [])].join(" ");
  const drawn = path(samples);
  return drawn
    ? element("path", { class: className, d: drawn, style: `stroke:${color}`, "data-series": name })
    : "";
}

function drawBand({ color, samples }: Series, x: Scale, y: Scale): string {
  if (!samples.some(({ stdErr = 0 }) => stdErr > 0)) return "";
  const [floor] = y.domain();
  const band = area<Sample>()
    .x(({ step }) => x(step))
    .y0(({ value, stdErr = 0 }) => y(Math.max(value - BAND * stdErr, floor ?? 0)))
    .y1(({ value, stdErr = 0 }) => y(value + BAND * stdErr))
    .defined(({ value }) => Number.isFinite(value))
    .digits(2);
  return element("path", { class: "band", d: band(samples) ?? "", style: `fill:${color}` });
}

/** The values of a chart by step, in words, for the page's crosshair. */
export function readings({ id, series, format }: LineChart) {
  return {
    id,
    series: series.map(({ name, samples }) => ({
      name,
      points: thinned(samples)
        .filter(({ value }) => Number.isFinite(value))
        .map(({ step, value }) => [step, format(value)] as const),
    })),
  };
}
