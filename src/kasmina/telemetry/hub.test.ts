import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { LEVELS, severityOf, type TelemetryLevel, type TelemetryPacket } from "../../contracts/index.js";
import { EventQueue, TelemetryHub, type TelemetryHubOptions } from "./hub.js";

const packets: TelemetryPacket[] = [];
beforeEach(() => {
  packets.length = 0;
});

function newHub(
  pendingEvents = 4,
  emit = (packet: TelemetryPacket): void => void packets.push(packet),
): TelemetryHub {
  return new TelemetryHub(options(pendingEvents, emit));
}

function options(pendingEvents: number, emit: (packet: TelemetryPacket) => void): TelemetryHubOptions {
  const clock = new ManualClock();
  return { trainingRunId: "run-1", source: "kasmina", sink: { emit }, clock, pendingEvents };
}

describe("packets", () => {
  test("exactly one a seed and one for the run, a step", () => {
    const hub = newHub();
    hub.at(3, 1);
    hub.event("s1", "seed_stage", "INFO");
    hub.event("s1", "gate_event", "INFO");
    hub.event(undefined, "optimizer_adjusted", "INFO");
    hub.gauge("s2", "kasmina.seed.alpha", 0.5);
    hub.flush(["s1", "s2", "s3"]);
    expect(packets.map(({ seedId, events, metrics }) => [seedId, events.length, metrics.length])).toEqual([
      [undefined, 1, 0],
      ["s1", 2, 0],
      ["s2", 0, 1],
      ["s3", 0, 0],
    ]);
    expect(packets.every(({ step, epoch, route }) => step === 3 && epoch === 1 && route === "normal")).toBe(
      true,
    );
    packets.length = 0;
    hub.flush(["s1"]);
    expect(packets.map(({ events, metrics }) => events.length + metrics.length)).toEqual([0, 0]);
  });

  test("bear the level and priority of their most severe event", () => {
    const hub = newHub();
    hub.event("s1", "seed_stage", "INFO");
    hub.event("s1", "violation_recorded", "ERROR");
    hub.event("s1", "blend_config", "WARNING");
    hub.flush(["s1", "s2"]);
    expect(packets.slice(1).map(({ level, priority }) => [level, priority])).toEqual([
      ["ERROR", "HIGH"],
      ["INFO", "LOW"],
    ]);
  });

  test("CRITICAL goes out at once, alone, on the emergency route, and is not sent again", () => {
    const hub = newHub();
    hub.event("s1", "seed_stage", "INFO");
    hub.event("s1", "gate_failure", "CRITICAL", { reason: "residue" });
    expect(packets).toHaveLength(1);
    expect(packets[0]).toMatchObject({ route: "emergency", priority: "CRITICAL", seedId: "s1" });
    hub.flush(["s1"]);
    expect(packets.flatMap(({ events }) => events.map(({ name }) => name))).toEqual([
      "gate_failure",
      "seed_stage",
    ]);
  });

  test("a seed's last packet says so, once", () => {
    const hub = newHub();
    hub.retire("s1");
    hub.flush();
    hub.flush();
    expect(packets.map(({ seedId, retired }) => [seedId, retired])).toEqual([
      [undefined, false],
      ["s1", true],
      [undefined, false],
    ]);
  });

  test("of a seed that is gone or never was begin no series: what is reported of it counts for the run", () => {
    const living = new Set(["s1"]);
    const hub = new TelemetryHub({
      ...options(4, (packet) => void packets.push(packet)),
      isSeed: (id) => living.has(id),
    });
    hub.event("s1", "seed_stage", "INFO");
    living.delete("s1");
    hub.event("s1", "seed_stage", "INFO");
    hub.retire("s1");
    hub.flush();
    hub.event("s1", "seed_operation", "WARNING");
    hub.event("never", "gate_failure", "CRITICAL");
    hub.flush();
    const sent = packets.map(({ seedId, retired, events }) => [seedId, retired, events.length]);
    expect(sent).toEqual([
      [undefined, false, 0],
      ["s1", true, 2],
      [undefined, false, 1],
      [undefined, false, 1],
    ]);
  });

  test("a sink that throws is counted and reaches nobody", () => {
    const hub = newHub(4, () => {
      throw new Error("disk full");
    });
    hub.event("s1", "gate_failure", "CRITICAL");
    hub.flush(["s1"]);
    expect(hub.sinkFailures).toBe(3);
  });
});

describe("metrics", () => {
  test("durations of a step are summed, and begin anew in the next one", () => {
    const hub = newHub();
    for (const ms of [2_000, 8]) hub.addDuration("kasmina.graft.stall_ms", ms);
    hub.flush();
    hub.addDuration("kasmina.graft.stall_ms", 3);
    hub.flush();
    expect(packets.map(({ metrics }) => metrics[0]?.value)).toEqual([2_008, 3]);
  });

  test("counters carry their totals by label, gauges the last value of the step", () => {
    const hub = newHub();
    hub.count("kasmina.gate.failures_total", { gate: "G2_STABILITY", reason: "loss_diverging" });
    hub.count("kasmina.gate.failures_total", { reason: "loss_diverging", gate: "G2_STABILITY" });
    hub.count("kasmina.gate.failures_total", { gate: "G5_RESET", reason: "residue" });
    hub.gauge("s1", "kasmina.seed.alpha", 0.1);
    hub.gauge("s1", "kasmina.seed.alpha", 0.2);
    hub.flush(["s1"]);
    expect(packets[0]?.metrics.map(({ labels, value }) => [labels?.gate, value])).toEqual([
      ["G2_STABILITY", 2],
      ["G5_RESET", 1],
    ]);
    expect(packets[1]?.metrics).toEqual([{ name: "kasmina.seed.alpha", value: 0.2 }]);
  });
});

describe("a full queue", () => {
  test("is reported in the run's packet", () => {
    const hub = newHub(2);
    for (let i = 0; i < 5; i++) hub.event("s1", "seed_stage", "INFO", { i });
    hub.flush(["s1"]);
    expect(packets[0]?.events[0]).toMatchObject({
      name: "queue_dropped",
      attributes: { seed_id: "s1", dropped: 3 },
    });
    expect(packets[1]?.events.map(({ attributes }) => attributes.i)).toEqual([3, 4]);
  });

  test("ends with one packet of the run that says so, behind whatever waited", () => {
    const hub = newHub();
    hub.event("s1", "seed_stage", "INFO");
    hub.event(undefined, "rollback_ready", "INFO");
    hub.end();
    expect(packets.map(({ seedId, retired, events }) => [seedId, retired, events.length])).toEqual([
      ["s1", false, 1],
      [undefined, true, 1],
    ]);
  });

  test("drops the least severe, then oldest, never CRITICAL, and counts exactly", () => {
    const levels = fc.constantFrom<TelemetryLevel>(...LEVELS);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(levels, { maxLength: 40 }), (capacity, added) => {
        const queue = new EventQueue(capacity);
        const model: { level: TelemetryLevel; atMs: number }[] = [];
        for (const [atMs, level] of added.entries()) {
          queue.add({ name: "seed_stage", level, atMs, attributes: {} });
          model.push({ level, atMs });
          const droppable = model.filter((event) => event.level !== "CRITICAL");
          const least = Math.min(...droppable.map((event) => severityOf(event.level)));
          const victim = droppable.find((event) => severityOf(event.level) === least);
          if (model.length > capacity && victim) model.splice(model.indexOf(victim), 1);
        }
        expect(queue.dropped).toBe(added.length - model.length);
        expect(queue.take().map(({ level, atMs }) => ({ level, atMs }))).toEqual(model);
        expect([queue.size, queue.dropped]).toEqual([0, 0]);
      }),
    );
  });
});
