import { describe, expect, test } from "vitest";
import { ControlRun } from "../control-run.fixture.js";

const rollback = { kind: "ROLLBACK", source: "memory", reason: "test" } as const;

function kinds(changes: readonly { readonly kind: string }[]): string[] {
  return changes.map(({ kind }) => kind);
}

describe("a rollback", () => {
  test("comes last of what takes effect at once; what was ordered after it holds for the state it brings", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const good = run.kasmina.snapshot();
    const fromStep = run.step;
    await run.runTo(run.step + 5);
    run.order({ kind: "OPTIMIZER", learningRate: 0.5 });
    run.order(rollback);
    run.order({ kind: "OPTIMIZER", learningRate: 0.25 });
    run.order({ kind: "EMERGENCY", level: "PAUSE_GROWTH", reason: "odd" });
    expect(kinds(await run.kasmina.takeEffect(run.step))).toEqual(["optimizer", "rollback"]);
    run.kasmina.rollBack(good, fromStep, run.step);
    expect(run.kasmina.seed("s1")?.stage).toBe("TRAINING");
    const after = await run.kasmina.takeEffect(run.step);
    expect(after).toMatchObject([
      { kind: "optimizer", settings: { learningRate: 0.25 } },
      { kind: "emergency", level: "PAUSE_GROWTH" },
    ]);
  });

  test("takes no guard away: an operator's emergency level stays, and holds for seeds that come back", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    run.operate("START_BLENDING");
    await run.runTo(run.step + 6);
    const good = run.kasmina.snapshot();
    const fromStep = run.step;
    const seed = () => {
      const found = run.kasmina.seed("s1");
      if (!found) throw new Error("s1 is gone");
      return found;
    };
    const alpha = run.kasmina.alphaOf(seed(), fromStep);
    expect(alpha).toBeGreaterThan(0);
    expect(alpha).toBeLessThan(1);
    run.order({ kind: "EMERGENCY", level: "FREEZE_SEEDS", reason: "odd" });
    run.order({ kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "open" });
    await run.runTo(run.step + 10);
    run.kasmina.rollBack(good, fromStep, run.step);
    expect(run.kasmina.emergency).toBe("FREEZE_SEEDS");
    expect(run.kasmina.snapshot().fetchBreaker.openedMs).toBeDefined();
    await run.runTo(run.step + 30);
    expect(run.kasmina.alphaOf(seed(), run.step)).toBe(alpha);
    run.order({ kind: "EMERGENCY", level: "CLEAR", reason: "fine" });
    await run.runTo(run.step + 30);
    expect(run.kasmina.alphaOf(seed(), run.step)).toBe(1);
  });

  test("lets what was under way take as long as it had to", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    const due = run.operate("START_BLENDING").effectiveStep ?? 0;
    const good = run.kasmina.snapshot();
    const fromStep = run.step;
    await run.runTo(run.step + 40);
    run.kasmina.rollBack(good, fromStep, run.step);
    expect(run.kasmina.planned).toMatchObject([{ seedId: "s1", effectiveStep: due - fromStep + run.step }]);
    await run.runTo(run.step + 10);
    expect(run.kasmina.seed("s1")?.stage).toBe("BLENDING");
  });

  test("ends the telemetry of seeds that have come to be since", async () => {
    const run = new ControlRun();
    const good = run.kasmina.snapshot();
    await run.grow("TRAINING");
    run.kasmina.rollBack(good, 0, run.step);
    expect(run.kasmina.seeds()).toEqual([]);
    run.kasmina.flushTelemetry({ step: run.step, epoch: 0 });
    expect(run.packets.at(-1)).toMatchObject({ seedId: "s1", retired: true });
  });

  test("culls at the next boundary, not a lead later", async () => {
    const run = new ControlRun();
    await run.grow("SHADOWING");
    expect(run.kasmina.cull("s1", "rollback: loss_spike", run.step)).toBe(true);
    expect(kinds(await run.kasmina.takeEffect(run.step))).toEqual(["remove"]);
    expect(run.kasmina.cull("s1", "again", run.step)).toBe(false);
    expect(run.kasmina.cull("nobody", "never there", run.step)).toBe(false);
  });
});
