import { describe, expect, test } from "vitest";
import { DependencyViolationError, ManualClock } from "../base/index.js";
import { ControlRun, kernelFor } from "./control-run.fixture.js";

describe("a seed's way through the gates", () => {
  test("one command a gate, each in effect a lead later", async () => {
    const run = new ControlRun();
    expect(run.germinate()).toMatchObject({ status: "applied", effectiveStep: 2, seedId: "s1" });
    expect(run.kasmina.seed("s1")?.stage).toBe("GERMINATED");
    expect((await run.runTo(1)).map((change) => change.kind)).toEqual([]);
    expect((await run.runTo(2)).map((change) => change.kind)).toEqual(["attach"]);
    await run.runTo(3);
    const run2 = new ControlRun();
    await run2.grow("FOSSILIZED");
    expect(run2.kasmina.seed("s1")?.stage).toBe("FOSSILIZED");
    expect(run2.changes.map((change) => (change.kind === "stage" ? change.to : change.kind))).toEqual([
      "attach",
      "TRAINING",
      "BLENDING",
      "SHADOWING",
      "PROBATIONARY",
      "FOSSILIZED",
    ]);
  });

  test("alpha runs from 0 to its target while it blends and stays there", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    const { effectiveStep = 0 } = run.operate("START_BLENDING");
    await run.runTo(effectiveStep);
    const seed = run.kasmina.seed("s1");
    if (!seed) throw new Error("no seed");
    expect(run.kasmina.alphaOf(seed, effectiveStep)).toBe(0);
    expect(run.kasmina.alphaOf(seed, effectiveStep + 10)).toBeCloseTo(0.5, 6);
    expect(run.kasmina.alphaOf(seed, effectiveStep + 20)).toBe(1);
    expect(run.kasmina.alphaOf(seed, effectiveStep + 99)).toBe(1);
  });

  test("a gate that fails culls the seed, and slot and blueprint stay closed until the reset has passed", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const refusal = run.operate("START_BLENDING");
    expect(refusal).toMatchObject({ status: "refused", reason: "no_shadow_gain" });
    const culledAt = run.step + 2;
    expect(run.germinate("s2")).toMatchObject({ status: "refused", reason: "slot_closed" });
    expect(run.germinate("s2", "block2")).toMatchObject({ status: "refused", reason: "slot_closed" });
    expect(run.germinate("s2", "block2", "low-rank")).toMatchObject({ status: "applied" });
    const changes = await run.runTo(culledAt);
    expect(changes).toContainEqual(expect.objectContaining({ kind: "remove", seedId: "s1" }));
    expect(run.kasmina.seed("s1")?.stage).toBe("EMBARGOED");
    run.residue.set("s1", ["optimizer/momentum/seed/s1/up/w"]);
    await run.runTo(culledAt + 20);
    expect(run.kasmina.seed("s1")?.stage).toBe("RESETTING");
    expect(run.germinate("s3")).toMatchObject({ status: "refused", reason: "slot_closed" });
    run.residue.clear();
    await run.runTo(culledAt + 21);
    expect(run.kasmina.seed("s1")?.stage).toBe("DORMANT");
    expect(run.germinate("s3")).toMatchObject({ status: "applied" });
    const failures = run.events.filter((event) => event.name === "gate_failure");
    expect(failures.every((event) => event.level === "CRITICAL")).toBe(true);
    expect(failures.map((event) => event.attributes.reason)).toEqual([
      "no_shadow_gain",
      "slot_closed",
      "slot_closed",
      "residue",
      "slot_closed",
    ]);
  });

  test("a kernel that its source gives up fails its gate when it is due, and the wait is counted", async () => {
    const clock = new ManualClock();
    const late = (): Promise<never> =>
      new Promise((_, reject) => {
        clock.setTimer(() => reject(new DependencyViolationError("no kernel within 1000 ms")), 1_000);
      });
    const run = new ControlRun({ clock, kernels: { fetch: late } });
    run.germinate();
    const boundary = run.runTo(2);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    run.clock.advance(1_000);
    await boundary;
    expect(run.kasmina.seed("s1")?.stage).toBe("EMBARGOED");
    expect(run.events).toContainEqual(
      expect.objectContaining({ name: "dependency_violation", level: "ERROR" }),
    );
    expect(run.events).toContainEqual(
      expect.objectContaining({
        name: "gate_failure",
        attributes: expect.objectContaining({ reason: "kernel_not_attached" }),
      }),
    );
    const stalls = run.packets
      .flatMap((packet) => packet.metrics)
      .filter((m) => m.name === "kasmina.graft.stall_ms");
    expect(stalls.map((metric) => metric.value)).toEqual([1_000]);
  });

  test("a kernel that comes late is waited for and attached at the step fixed at acceptance", async () => {
    let release: () => void = () => undefined;
    const run = new ControlRun({
      kernels: {
        fetch: (request) =>
          new Promise((resolve) => {
            release = () => resolve(kernelFor(request));
          }),
      },
    });
    run.germinate();
    const boundary = run.runTo(2);
    await new Promise((resolve) => setImmediate(resolve));
    run.clock.advance(300);
    release();
    expect((await boundary).map((change) => change.kind)).toEqual(["attach"]);
    expect(run.clock.pendingTimers).toBe(1);
    // Its program comes late too.
    let compiled: () => void = () => undefined;
    const compiling = new Promise<void>((resolve) => {
      compiled = resolve;
    });
    const program = run.kasmina.countStall(compiling);
    run.clock.advance(200);
    compiled();
    await program;
    run.kasmina.flushTelemetry({ step: 2, epoch: 1 });
    const stalls = run.packets
      .flatMap((packet) => packet.metrics)
      .filter(({ name }) => name === "kasmina.graft.stall_ms");
    expect(stalls.map(({ value }) => value)).toEqual([300, 200]);
  });
});

describe("one pending change a seed", () => {
  test("a second is refused, a cull goes first, a cancel takes it back", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    expect(run.operate("START_BLENDING").status).toBe("applied");
    run.evaluate();
    expect(run.operate("START_BLENDING")).toMatchObject({ status: "refused", reason: "change_pending" });
    expect(run.operate("CANCEL").status).toBe("applied");
    expect(run.kasmina.planned).toEqual([]);
    expect(run.operate("CANCEL")).toMatchObject({ status: "refused", reason: "nothing_pending" });
    expect(run.operate("START_BLENDING").status).toBe("applied");
    expect(run.operate("CULL").status).toBe("applied");
    expect(run.kasmina.planned.map((change) => change.intent.kind)).toEqual(["remove"]);
    expect(run.operate("CULL")).toMatchObject({ status: "refused", reason: "change_pending" });
  });
});
