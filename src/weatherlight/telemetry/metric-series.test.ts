import { describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { MetricSeries, SeriesReports, type SeriesUpdate } from "./metric-series.js";
import { packetOf, RUN } from "./telemetry.fixture.js";

describe("the series of a run", () => {
  test("hold the last value of each gauge, apart by seed and labels", () => {
    const series = new MetricSeries();
    for (const value of [0.1, 0.2])
      series.record(packetOf({ seedId: "a", metrics: [{ name: "kasmina.seed.alpha", value }] }));
    const ready = { name: "kasmina.prefetch.requests_total", value: 3, labels: { status: "ready" } } as const;
    series.record(packetOf({ metrics: [ready, { ...ready, labels: { status: "error" }, value: 1 }] }));
    expect(series.take().values).toEqual([
      { name: "kasmina.seed.alpha", seedId: "a", value: 0.2 },
      ready,
      { ...ready, labels: { status: "error" }, value: 1 },
    ]);
  });

  test("keep each observation of a distribution", () => {
    const series = new MetricSeries();
    for (const value of [3, 3, 9])
      series.record(packetOf({ metrics: [{ name: "kasmina.graft.stall_ms", value }] }));
    expect(series.take().observations.map(({ value }) => value)).toEqual([3, 3, 9]);
  });

  test("count events, and say what has changed since the last time alone", () => {
    const series = new MetricSeries();
    const event = { name: "gate_failure", level: "CRITICAL", atMs: 1, attributes: {} } as const;
    series.record(packetOf({ step: 8, events: [event, event] }));
    expect(series.take()).toMatchObject({ run: RUN, step: 8, events: [{ name: "gate_failure", count: 2 }] });
    expect(series.take()).toMatchObject({ run: RUN, step: 8, events: [], values: [], retired: [] });
  });

  test("of a seed end with it, what it said before included", () => {
    const series = new MetricSeries();
    const metrics = [{ name: "kasmina.seed.alpha", value: 1 }] as const;
    series.record(packetOf({ seedId: "a", metrics }));
    series.record(packetOf({ seedId: "b", metrics }));
    series.record(packetOf({ seedId: "a", metrics, retired: true }));
    expect(series.take()).toMatchObject({ values: [{ seedId: "b" }], retired: ["a"] });
  });
});

test("reports go out once a second, and at the end", () => {
  const clock = new ManualClock();
  const sent: SeriesUpdate[] = [];
  const reports = new SeriesReports((update) => sent.push(update), clock);
  for (let step = 1; step <= 30; step++) {
    reports.record(packetOf({ step }));
    clock.advance(100);
  }
  expect(sent.map(({ step }) => step)).toEqual([1, 11, 21]);
  reports.report();
  expect(sent.at(-1)?.step).toBe(30);
});
