import { describe, expect, test } from "vitest";
import { ControlRun } from "../control-run.fixture.js";

const leak = (seedId: string, leakRatio: number) => [{ seedId, leakRatio, cosine: 1 }];

describe("readings of the monitor", () => {
  test("open the breaker of the seed that leaks, and of no other", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    await run.grow("TRAINING", "s2", "block2");
    const clean = { seedId: "s2", leakRatio: 0, cosine: 0 };
    for (let look = 0; look < 3; look++) {
      run.kasmina.recordIsolation([...leak("s1", 0.5), clean], { step: run.step, epoch: 0 });
      await run.runTo(run.step + 1);
    }
    const reported = run.events.filter(({ name }) => /violation_recorded|isolation_breaker/.test(name));
    expect(reported.map(({ name, attributes }) => [name, attributes.seed_id])).toEqual([
      ["violation_recorded", "s1"],
      ["violation_recorded", "s1"],
      ["isolation_breaker", "s1"],
      ["violation_recorded", "s1"],
    ]);
    await run.runTo(run.step + 3);
    expect(run.kasmina.seed("s1")?.stage).toBe("EMBARGOED");
    expect(run.kasmina.seed("s2")?.stage).toBe("TRAINING");
    expect(run.kasmina.isolation).toEqual({ violations: 3, maxLeakRatio: 0.5, maxCosine: 1 });
  });

  test("violations further apart than the breaker's window open nothing", async () => {
    const run = new ControlRun({ config: { stepMs: 10_000 } });
    await run.grow("TRAINING");
    for (let look = 0; look < 5; look++) {
      run.kasmina.recordIsolation(leak("s1", 0.5), { step: run.step, epoch: 0 });
      await run.runTo(run.step + 2);
    }
    expect(run.events.map(({ name }) => name)).not.toContain("isolation_breaker");
    expect(run.kasmina.seed("s1")?.stage).toBe("TRAINING");
  });

  test("a leak within the limits is reported as a gauge and counts as nothing", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.kasmina.recordIsolation([{ seedId: "s1", leakRatio: 5e-7, cosine: 0.001 }], {
      step: run.step,
      epoch: 0,
    });
    run.kasmina.flushTelemetry({ step: run.step, epoch: 0 });
    const metrics = run.packets.at(-1)?.metrics ?? [];
    expect(metrics).toContainEqual({ name: "kasmina.seed.isolation.leak_ratio", value: 5e-7 });
    expect(metrics).toContainEqual({ name: "kasmina.seed.isolation.cosine", value: 0.001 });
    expect(run.kasmina.isolation.violations).toBe(0);
  });

  test("with failFast throw once the telemetry is out", async () => {
    const run = new ControlRun({ config: { isolation: { failFast: true } } });
    await run.grow("TRAINING");
    expect(() => run.kasmina.recordIsolation(leak("s1", 0.5), { step: run.step, epoch: 0 })).toThrow(
      /seed s1 leaks 0.5 of the host's gradient, cosine 1/,
    );
    expect(run.events.map(({ name }) => name)).toContain("violation_recorded");
  });

  test("are not forgotten by a rollback, and go on after a resume", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const before = run.kasmina.snapshot();
    run.kasmina.recordIsolation(leak("s1", 0.5), { step: run.step, epoch: 0 });
    const after = run.kasmina.snapshot();
    run.kasmina.rollBack(before, run.step, run.step);
    expect(run.kasmina.isolation.violations).toBe(1);
    const resumed = new ControlRun();
    resumed.kasmina.resume(after);
    expect(resumed.kasmina.isolation).toEqual({ violations: 1, maxLeakRatio: 0.5, maxCosine: 1 });
  });
});

describe("a program that is not proven", () => {
  const failure = {
    proven: false,
    seedId: "s1",
    path: ["seed/s1/up", "add", "host/stem/b"],
    message: "m",
  } as const;

  test("is reported at once with its path, and its seed is culled once however often it is refused", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.kasmina.refuseUnproven(failure, run.step);
    const [planned] = run.kasmina.planned;
    await run.runTo(run.step + 1);
    run.kasmina.refuseUnproven(failure, run.step);
    expect(run.kasmina.planned).toEqual([planned]);
    const [packet] = run.packets.filter(({ events }) => events[0]?.name === "isolation_unproven");
    expect(packet).toMatchObject({ route: "emergency", level: "CRITICAL", seedId: "s1" });
    expect(packet?.events[0]?.attributes).toMatchObject({
      path: "seed/s1/up → add → host/stem/b",
      stage: "TRAINING",
      effective_step: planned?.effectiveStep,
    });
    await run.runTo(run.step + 3);
    expect(run.kasmina.seed("s1")?.stage).toBe("EMBARGOED");
  });
});
