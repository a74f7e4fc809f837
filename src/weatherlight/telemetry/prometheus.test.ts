import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { findTool } from "../../base/tools.fixture.js";
import { METRIC_NAMES, type TelemetryPacket } from "../../contracts/index.js";
import { MetricSeries } from "./metric-series.js";
import { PrometheusExporter, prometheusName } from "./prometheus.node.js";
import { packetOf, RUN } from "./telemetry.fixture.js";

const promtool = findTool("prometheus", ["promtool"]);

function show(exporter: PrometheusExporter, ...packets: readonly TelemetryPacket[]): void {
  const series = new MetricSeries();
  for (const packet of packets) series.record(packet);
  exporter.apply(series.take());
}

async function samplesOf(exporter: PrometheusExporter): Promise<string[]> {
  const text = (await exporter.render()).text;
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** A packet with every metric there is. */
const everything = packetOf({
  seedId: "a",
  metrics: METRIC_NAMES.map((name) => ({ name, value: 5, labels: { mode: "CONVEX", unknown: "label" } })),
});

describe("what Prometheus gets", () => {
  test("has every metric under its name, in base units", async () => {
    const exporter = new PrometheusExporter();
    show(exporter, everything);
    const samples = (await samplesOf(exporter)).join("\n");
    for (const name of METRIC_NAMES) expect(samples).toContain(prometheusName(name));
    expect(samples).toContain(`kasmina_seed_kernel_latency_seconds{run="${RUN}",seed="a"} 0.005`);
    expect(samples).toContain(`kasmina_graft_stall_seconds_bucket{le="0.005",run="${RUN}"} 1`);
    expect(samples).toContain(`kasmina_run_steps{run="${RUN}"} 7`);
    expect(samples).not.toContain("unknown");
  });

  test.skipIf(!promtool)("is as promtool wants it", async () => {
    const exporter = new PrometheusExporter();
    show(exporter, everything);
    exporter.progress(RUN, { loss: 1, heldOutLoss: 2, score: { name: "accuracy", value: 0.5 } });
    const input = (await exporter.render()).text;
    expect(execFileSync(promtool ?? "", ["check", "metrics"], { input, encoding: "utf8" })).toBe("");
  });

  test("counts totals on, whatever a run that went back says", async () => {
    const exporter = new PrometheusExporter();
    const total = (value: number) =>
      packetOf({ metrics: [{ name: "kasmina.command_verifier.accepted_total", value }] });
    for (const value of [2, 5, 1, 3]) show(exporter, total(value));
    expect(await samplesOf(exporter)).toContain(`kasmina_command_verifier_accepted_total{run="${RUN}"} 7`);
  });

  test("has each event from 0 on, so that its first one is seen to rise", async () => {
    const exporter = new PrometheusExporter();
    show(exporter, packetOf());
    const sample = (count: number) => `kasmina_events_total{run="${RUN}",name="emergency"} ${count}`;
    expect(await samplesOf(exporter)).toContain(sample(0));
    const event = { name: "emergency", level: "CRITICAL", atMs: 1, attributes: {} } as const;
    show(exporter, packetOf({ events: [event] }));
    expect(await samplesOf(exporter)).toContain(sample(1));
  });

  test("has refusals and stalls from 0 on too, since many may come between two scrapes", async () => {
    const exporter = new PrometheusExporter();
    show(exporter, packetOf());
    expect(await samplesOf(exporter)).toEqual(
      expect.arrayContaining([
        `kasmina_command_verifier_rejections_total{run="${RUN}",reason="invalid_signature"} 0`,
        `kasmina_graft_stall_seconds_count{run="${RUN}"} 0`,
        `kasmina_rollback_latency_seconds_count{run="${RUN}"} 0`,
      ]),
    );
  });

  test("shows text from outside as text", async () => {
    const exporter = new PrometheusExporter();
    const reason = 'a"b\n# HELP evil\\';
    show(
      exporter,
      packetOf({
        metrics: [{ name: "kasmina.gate.failures_total", value: 1, labels: { gate: "G1", reason } }],
      }),
    );
    const samples = await samplesOf(exporter);
    expect(samples).toContain(
      `kasmina_gate_failures_total{run="${RUN}",gate="G1",reason="a\\"b\\n# HELP evil\\\\"} 1`,
    );
  });
});

describe("series end", () => {
  test("with their seed: 10,000 of them, one after the other, leave nothing behind", async () => {
    const exporter = new PrometheusExporter();
    show(exporter, packetOf());
    const before = await samplesOf(exporter);
    for (let seed = 0; seed < 10_000; seed++) {
      const seedId = `seed-${seed}`;
      const metrics = [
        { name: "kasmina.seed.alpha", value: 0.5 },
        { name: "kasmina.blend.alpha_mean", value: 0.5, labels: { mode: "CONVEX", source: "uniform" } },
      ] as const;
      show(exporter, packetOf({ seedId, metrics }));
      show(exporter, packetOf({ seedId, metrics, retired: true }));
    }
    expect(await samplesOf(exporter)).toEqual(before);
  });

  test("with their run, and those of other runs stay", async () => {
    const exporter = new PrometheusExporter();
    const other = packetOf({ trainingRunId: "other", seedId: "a", metrics: everything.metrics });
    show(exporter, other);
    const before = await samplesOf(exporter);
    show(exporter, everything);
    exporter.progress(RUN, { loss: 1, heldOutLoss: 2, score: { name: "accuracy", value: 0.5 } });
    await exporter.end(RUN);
    expect(await samplesOf(exporter)).toEqual(before);
  });
});
