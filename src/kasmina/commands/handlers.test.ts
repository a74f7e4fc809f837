import { describe, expect, test } from "vitest";
import { fromJsonText, toJsonText } from "../../base/index.js";
import type { Kernel, KernelRequest } from "../../contracts/index.js";
import { DEFAULT_BLEND, float32 } from "../../contracts/index.js";
import { ControlRun, kernelFor, RUN_ID } from "../control-run.fixture.js";
import type { KasminaSnapshot } from "../state/snapshot.js";

function seedOf(run: ControlRun, id = "s1") {
  const seed = run.kasmina.seed(id);
  if (!seed) throw new Error(`no seed ${id}`);
  return seed;
}

/** A kernel source that hands out kernels with changes, as an artifact or a ready message would bring them. */
function kernels(changes: Partial<Kernel>) {
  return { fetch: (request: KernelRequest) => Promise.resolve(kernelFor(request, changes)) };
}

describe("what a seed may not be", () => {
  const failing: readonly [string, string, () => Promise<ControlRun>][] = [
    [
      "a fallback, which its artifact or ready message says",
      "fallback_kernel_used",
      async () => {
        const run = new ControlRun({ kernels: kernels({ fallbackUsed: true }) });
        run.germinate();
        await run.runTo(3);
        return run;
      },
    ],
    [
      "over its share of the step, at G2",
      "performance_status",
      async () => {
        const run = new ControlRun({ config: { kernel: { stepShareBudget: 0.3 } } });
        await run.grow("TRAINING");
        run.evaluate();
        run.kasmina.recordStepShares({ s1: 0.31 });
        expect(run.operate("START_BLENDING")).toMatchObject({ reason: "performance_status" });
        await run.runTo(run.step + 3);
        return run;
      },
    ],
    [
      "over its share of the step, at G4",
      "performance_status",
      async () => {
        const run = new ControlRun({ config: { kernel: { stepShareBudget: 0.3 } }, stepShare: 0.3 });
        await run.grow("SHADOWING");
        run.evaluate();
        run.kasmina.recordStepShares({ s1: 0.31 });
        expect(run.operate("START_PROBATION")).toMatchObject({ reason: "performance_status" });
        await run.runTo(run.step + 3);
        return run;
      },
    ],
  ];

  test.each(failing)("%s: %s, cull, embargo that ends", async (_, reason, fail) => {
    const run = await fail();
    expect(run.events).toContainEqual(
      expect.objectContaining({
        name: "gate_failure",
        level: "CRITICAL",
        attributes: expect.objectContaining({
          reason,
          seed_id: "s1",
          blueprint_id: "mlp-residual",
          stage: expect.any(String),
          expected_stage: "",
        }),
      }),
    );
    expect(seedOf(run).stage).toBe("EMBARGOED");
    expect(run.germinate("s2")).toMatchObject({ status: "refused", reason: "slot_closed" });
    await run.runTo(run.step + 6);
    expect(seedOf(run).stage).toBe("DORMANT");
    expect(run.germinate("s2")).toMatchObject({ status: "applied" });
  });

  test("without a budget no share is too large; with one, a share that nobody counted is", async () => {
    const free = new ControlRun();
    await free.grow("TRAINING");
    free.kasmina.recordStepShares({ s1: 1 });
    free.evaluate();
    expect(free.operate("START_BLENDING")).toMatchObject({ status: "applied" });
    const bound = new ControlRun({ config: { kernel: { stepShareBudget: 1 } } });
    await bound.grow("TRAINING");
    bound.evaluate();
    expect(bound.operate("START_BLENDING")).toMatchObject({ reason: "performance_status" });
  });
});

describe("an artifact is what was asked for", () => {
  test.each([
    ["another blueprint", { blueprintId: "low-rank" }],
    ["no digest", { sha256: "xyz" }],
  ])("%s: artifact_mismatch", async (_, changes) => {
    const run = new ControlRun({ kernels: kernels(changes) });
    run.germinate();
    await run.runTo(3);
    expect(seedOf(run).stage).toBe("EMBARGOED");
    expect(run.events.map((event) => event.attributes.reason)).toContain("artifact_mismatch");
  });

  test("the one artifact that a command names, and no other", async () => {
    for (const [artifactSha256, stage] of [
      ["a".repeat(64), "GERMINATED"],
      ["b".repeat(64), "EMBARGOED"],
    ] as const) {
      const run = new ControlRun();
      run.order(
        { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual", artifactSha256 },
        { seedId: "s1", slotId: "block1" },
      );
      await run.runTo(3);
      expect(seedOf(run).stage).toBe(stage);
    }
  });

  test("a kernel over the latency budget does not pass G2", async () => {
    const run = new ControlRun({ kernels: kernels({ prewarmP95Ms: 11 }) });
    await run.grow("TRAINING");
    run.evaluate();
    expect(run.operate("START_BLENDING")).toMatchObject({ reason: "latency_budget_exceeded" });
  });
});

describe("fetches that fail", () => {
  test("three open the breaker, one success half-open closes it", async () => {
    let broken = true;
    const run = new ControlRun({
      config: { breakers: { fetch: { failures: 3, windowMs: 2_000, cooldownMs: 300 } } },
      kernels: {
        fetch: (request) =>
          broken ? Promise.reject(new Error("no route")) : Promise.resolve(kernelFor(request)),
      },
    });
    for (const [at, blueprint] of ["mlp-residual", "mlp-residual", "mlp-residual"].entries()) {
      expect(run.germinate(`s${at}`, "block1", blueprint).status).toBe("applied");
      await run.runTo(run.step + 10);
    }
    expect(run.germinate("s9")).toMatchObject({ status: "refused", reason: "breaker_open" });
    run.order({ kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "close" });
    run.order({ kind: "CIRCUIT_BREAKER", breaker: "fetch", action: "open" });
    expect(run.germinate("s9")).toMatchObject({ reason: "breaker_open" });
    await run.runTo(run.step + 31);
    broken = false;
    expect(run.germinate("s9").status).toBe("applied");
    await run.runTo(run.step + 3);
    const states = run.events.filter((e) => e.name === "breaker_event").map((e) => e.attributes.state);
    expect(states).toEqual(["open", "closed", "open", "closed"]);
  });
});

describe("pause and resume", () => {
  test("keep everything, hold alpha, and put exactly it back", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    const { effectiveStep = 0 } = run.operate("START_BLENDING");
    await run.runTo(effectiveStep + 5);
    expect(run.order({ kind: "PAUSE", resume: false }, { seedId: "s1" }).status).toBe("applied");
    expect((await run.runTo(run.step + 2)).map(({ kind }) => kind)).toEqual(["pause"]);
    const paused = { ...seedOf(run) };
    const alpha = run.kasmina.alphaOf(paused, run.step);
    expect(paused).toMatchObject({ stage: "BLENDING", pausedFrom: "BLENDING" });
    expect(run.operate("START_SHADOWING")).toMatchObject({ reason: "seed_paused" });
    expect(run.order({ kind: "PAUSE", resume: false }, { seedId: "s1" })).toMatchObject({
      reason: "seed_paused",
    });
    await run.runTo(run.step + 50);
    expect(run.kasmina.alphaOf(seedOf(run), run.step)).toBe(alpha);
    expect(run.order({ kind: "PAUSE", resume: true }, { seedId: "s1" }).status).toBe("applied");
    expect((await run.runTo(run.step + 2)).map(({ kind }) => kind)).toEqual(["resume"]);
    expect(run.kasmina.alphaOf(seedOf(run), run.step)).toBe(alpha);
    expect(seedOf(run)).toMatchObject({ stage: "BLENDING", kernel: paused.kernel, blend: paused.blend });
    await run.runTo(run.step + 20);
    expect(run.kasmina.alphaOf(seedOf(run), run.step)).toBe(1);
  });

  test("a seed whose gate no longer passes is not resumed but culled", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.order({ kind: "PAUSE", resume: false }, { seedId: "s1" });
    await run.runTo(run.step + 3);
    run.kasmina.recordStep({ loss: 1, seeds: { s1: { gradientNorm: Number.NaN } } });
    expect(run.order({ kind: "PAUSE", resume: true }, { seedId: "s1" })).toMatchObject({
      status: "refused",
      reason: "gradient_not_finite",
    });
    expect((await run.runTo(run.step + 2)).map(({ kind }) => kind)).toEqual(["remove"]);
  });

  test("a seed that has no kernel yet, or is part of the host, cannot be paused", async () => {
    const run = new ControlRun();
    run.germinate();
    run.operate("CANCEL");
    run.germinate("s2", "block2", "low-rank");
    expect(run.order({ kind: "PAUSE", resume: false }, { seedId: "s2" })).toMatchObject({
      reason: "change_pending",
    });
    const grown = new ControlRun();
    await grown.grow("FOSSILIZED");
    expect(grown.order({ kind: "PAUSE", resume: false }, { seedId: "s1" })).toMatchObject({
      reason: "stage_mismatch",
    });
  });
});

describe("an order that a stage does not allow", () => {
  test("is told as the failure of its gate, at once, and the seed stays as it is", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const before = run.events.length;
    const outcomes = [
      run.operate("START_SHADOWING"),
      run.order({ kind: "SEED", operation: "START_BLENDING" }, { seedId: "s1", expectedStage: "GERMINATED" }),
    ];
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: "refused", reason: "stage_mismatch" });
    const told = run.events.slice(before).filter(({ name }) => name === "gate_failure");
    expect(told.map(({ level }) => level)).toEqual(["CRITICAL", "CRITICAL"]);
    expect(told.map(({ attributes }) => attributes)).toMatchObject([
      {
        gate: "G3_INTERFACE",
        reason: "stage_mismatch",
        stage: "TRAINING",
        expected_stage: "BLENDING",
        culled: false,
      },
      {
        gate: "G2_STABILITY",
        reason: "stage_mismatch",
        stage: "TRAINING",
        expected_stage: "GERMINATED",
        culled: false,
      },
    ]);
    expect(run.kasmina.seed("s1")?.stage).toBe("TRAINING");
  });

  test("a blend that holds for no seed is refused with the germination that asks for it", () => {
    const run = new ControlRun();
    const decision = (blend: object) => ({
      policyVersion: "p",
      riskReason: "",
      featureCoverage: 1,
      blend: { ...DEFAULT_BLEND, ...blend },
    });
    const order = { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual" } as const;
    const germinate = (blend: object) =>
      run.order(order, { seedId: "s1", slotId: "block1", decision: decision(blend) });
    expect(germinate({ alphaTarget: 2 })).toMatchObject({ status: "refused", reason: "blend_invalid" });
    expect(germinate({ mode: "CONFIDENCE" })).toMatchObject({ status: "refused", reason: "blend_invalid" });
    expect(run.kasmina.seeds()).toEqual([]);
    expect(germinate({ alphaTarget: 0.5 })).toMatchObject({ status: "applied" });
  });

  test("the blend is told when blending starts", async () => {
    const run = new ControlRun();
    await run.grow("BLENDING");
    const told = run.events.filter(({ name }) => name === "blend_config").map(({ attributes }) => attributes);
    expect(told).toMatchObject([{ mode: DEFAULT_BLEND.mode, alpha_target: DEFAULT_BLEND.alphaTarget }]);
  });
});

describe("blend adjustments", () => {
  const adjust = (run: ControlRun, blend: object) =>
    run.order(
      { kind: "SEED", operation: "ADJUST_BLEND" },
      {
        seedId: "s1",
        decision: {
          policyVersion: "1",
          riskReason: "",
          featureCoverage: 1,
          blend: { ...seedOf(run).blend, ...blend },
        },
      },
    );

  test("hold from this boundary on, values alone", async () => {
    const run = new ControlRun();
    await run.grow("BLENDING");
    expect(adjust(run, { mode: "CONFIDENCE", confidenceLogits: [1, 2] })).toMatchObject({
      status: "applied",
      effectiveStep: run.step,
    });
    expect((await run.runTo(run.step)).map(({ kind }) => kind)).toEqual(["blend"]);
    expect(seedOf(run).blend).toMatchObject({ mode: "CONFIDENCE", confidenceLogits: [1, 2] });
  });

  test.each([
    [{ mode: "CHANNEL" }, "alpha_vec"],
    [{ mode: "CHANNEL", alphaVec: new Array(65).fill(0.5) }, "alpha_vec"],
    [{ mode: "CHANNEL", alphaVec: [Number.NaN] }, "alpha_vec"],
    [{ mode: "CHANNEL", alphaVec: [Number.POSITIVE_INFINITY] }, "alpha_vec"],
    [{ mode: "CHANNEL", alphaVec: [1.5] }, "alpha_vec"],
    [{ mode: "CHANNEL", alphaVec: [1, 1, 1] }, "alpha_vec"],
    [{ mode: "CONFIDENCE" }, "confidence_logits"],
    [{ mode: "CONFIDENCE", confidenceLogits: [1] }, "confidence_logits"],
    [{ mode: "CONFIDENCE", confidenceLogits: new Array(257).fill(1) }, "confidence_logits"],
    [{ mode: "CONFIDENCE", confidenceLogits: [1, Number.NaN] }, "confidence_logits"],
    [{ alphaLo: 0.6, alphaHi: 0.5 }, "alpha_lo"],
    [{ alphaTarget: Number.NaN }, "alpha_target"],
    [{ gateK: Number.NaN }, "gate_k"],
    [{ gateTau: Number.NEGATIVE_INFINITY }, "gate_tau"],
    [{ mode: "NO_SUCH_MODE" }, "mode"],
  ])("%j is refused and the old configuration stays", async (blend, field) => {
    const run = new ControlRun();
    await run.grow("BLENDING");
    const before = seedOf(run).blend;
    expect(adjust(run, blend)).toMatchObject({ status: "refused", reason: "blend_invalid" });
    await run.runTo(run.step + 3);
    expect(seedOf(run).blend).toEqual(before);
    expect(run.events).toContainEqual(
      expect.objectContaining({
        name: "blend_config",
        level: "WARNING",
        attributes: expect.objectContaining({ reason: "blend_invalid", field }),
      }),
    );
  });
});

describe("optimizer commands", () => {
  test("of a seed that has no parameters of its own are refused, and leave nothing behind", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.operate("CULL");
    await run.runTo(run.step + 30);
    expect(run.kasmina.seed("s1")?.stage).toBe("DORMANT");
    const changes = run.changes.length;
    for (const outcome of [
      run.order({ kind: "OPTIMIZER", learningRate: 0.5 }, { seedId: "s1" }),
      run.order({ kind: "CIRCUIT_BREAKER", breaker: "isolation", action: "open" }, { seedId: "s1" }),
    ])
      expect(outcome).toMatchObject({ status: "refused", reason: "stage_mismatch" });
    await run.runTo(run.step + 1);
    expect(run.changes).toHaveLength(changes);
    expect(run.kasmina.snapshot().isolationBreakers).toEqual({});
  });

  test("change what they say, for host or seed, at this boundary", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.order({ kind: "OPTIMIZER", learningRate: 0.5, weightDecay: 0.1 });
    run.order({ kind: "OPTIMIZER", momentum: 0.5 }, { seedId: "s1" });
    expect(await run.runTo(run.step)).toEqual([
      { kind: "optimizer", target: "host", settings: { learningRate: 0.5, weightDecay: 0.1 } },
      { kind: "optimizer", target: "s1", settings: { momentum: 0.5 } },
    ]);
    expect(run.order({ kind: "OPTIMIZER", momentum: 0.5 }, { seedId: "s7" })).toMatchObject({
      reason: "unknown_seed",
    });
  });
});

describe("emergency levels", () => {
  test("pause growth, freeze seeds with their ramps, halt, and end", async () => {
    const run = new ControlRun();
    const level = (to: "PAUSE_GROWTH" | "FREEZE_SEEDS" | "HALT" | "CLEAR") =>
      run.order({ kind: "EMERGENCY", level: to, reason: "drill" });
    await run.grow("TRAINING");
    run.evaluate();
    const { effectiveStep = 0 } = run.operate("START_BLENDING");
    await run.runTo(effectiveStep + 4);
    expect(level("PAUSE_GROWTH").status).toBe("applied");
    expect(run.germinate("s2", "block2")).toMatchObject({ reason: "growth_paused" });
    expect(level("FREEZE_SEEDS").status).toBe("applied");
    expect(await run.runTo(run.step)).toContainEqual({
      kind: "emergency",
      level: "FREEZE_SEEDS",
      reason: "drill",
    });
    const alpha = run.kasmina.alphaOf(seedOf(run), run.step);
    await run.runTo(run.step + 30);
    expect(run.kasmina.alphaOf(seedOf(run), run.step)).toBe(alpha);
    expect(run.operate("START_SHADOWING")).toMatchObject({ reason: "seeds_frozen" });
    level("CLEAR");
    await run.runTo(run.step + 20);
    expect(run.kasmina.alphaOf(seedOf(run), run.step)).toBe(1);
    level("HALT");
    expect(run.kasmina.emergency).toBe("HALT");
    expect(level("CLEAR")).toMatchObject({ reason: "run_halted" });
    expect(run.germinate("s3", "block2")).toMatchObject({ reason: "run_halted" });
    const reported = run.packets.filter((packet) => packet.events.some(({ name }) => name === "emergency"));
    expect(reported.map(({ route, level: severity }) => [route, severity])).toEqual([
      ["emergency", "CRITICAL"],
      ["emergency", "CRITICAL"],
      ["normal", "WARNING"],
      ["emergency", "CRITICAL"],
    ]);
  });

  test("a freeze takes back advances that are not in effect yet; culls go on", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.evaluate();
    run.operate("START_BLENDING");
    run.order({ kind: "EMERGENCY", level: "FREEZE_SEEDS", reason: "" });
    await run.runTo(run.step + 3);
    expect(seedOf(run).stage).toBe("TRAINING");
    expect(run.operate("CULL").status).toBe("applied");
  });
});

describe("reset", () => {
  test("clears seeds, plans, fetches and nonces together; what is fossilized stays", async () => {
    const run = new ControlRun();
    await run.grow("FOSSILIZED", "s0", "block2");
    await run.grow("TRAINING");
    run.germinate("s2", "block2", "low-rank");
    expect(run.order({ kind: "RESET", scope: "registry" }).status).toBe("applied");
    const changes = await run.runTo(run.step);
    expect(changes).toEqual([{ kind: "reset", scope: "registry", seedIds: ["s1", "s2"] }]);
    expect(run.kasmina.seeds().map(({ id, stage }) => [id, stage])).toEqual([
      ["s1", "DORMANT"],
      ["s0", "FOSSILIZED"],
      ["s2", "DORMANT"],
    ]);
    expect(run.kasmina.planned).toEqual([]);
    run.clock.advance(10);
    expect(run.germinate("s3").status).toBe("applied");
  });

  test("G5 looks for what is left of each seed", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    run.residue.set("s1", ["seed/s1/up/w"]);
    run.order({ kind: "RESET", scope: "registry" });
    await run.runTo(run.step + 3);
    expect(seedOf(run).stage).toBe("RESETTING");
    expect(run.events.filter(({ attributes }) => attributes.reason === "residue")).toHaveLength(1);
  });

  test("with commands in flight: none from before the reset is applied after it", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const sign = (learningRate: number, incarnation = "") =>
      run.signer.sign(run.draft({ kind: "OPTIMIZER", learningRate }, { incarnation }));
    const { incarnation } = run.kasmina;
    const accepted = run.deliver(sign(0.1), "accepted");
    expect(run.handle(accepted).status).toBe("applied");
    const inFlight = [sign(0.2), sign(0.3)].map((bytes) => run.deliver(bytes));
    run.clock.advance(5);
    const batch = [
      run.deliver(run.signer.sign(run.draft({ kind: "RESET", scope: "registry" }))),
      ...inFlight,
    ];
    const outcomes = run.kasmina.receive({ drain: () => batch }, { step: run.step, epoch: 0 });
    expect(outcomes.map(({ status, reason }) => reason || status)).toEqual([
      "applied",
      "stale_command",
      "stale_command",
    ]);
    expect(await run.runTo(run.step)).toEqual([{ kind: "reset", scope: "registry", seedIds: ["s1"] }]);
    expect(run.handle(accepted).status).toBe("duplicate");
    expect(run.handle(run.deliver(accepted.envelope, "again")).reason).toBe("stale_command");
    expect(run.handle(run.deliver(sign(0.4))).reason).toBe("stale_command");
    expect(run.handle(run.deliver(sign(0.4, run.kasmina.incarnation))).status).toBe("applied");
    run.clock.advance(1);
    expect(run.handle(run.deliver(sign(0.5))).status).toBe("applied");
    expect(run.handle(run.deliver(sign(0.6, incarnation))).reason).toBe("wrong_incarnation");
  });
});

describe("the teacher", () => {
  const specs = { "teacher/w": float32([4, 4], 0) };

  test("cannot be updated while it is registered, and is gone after its reset", async () => {
    const run = new ControlRun();
    run.kasmina.registerTeacher("t1", specs);
    expect(run.kasmina.updateProblem(["host/stem/w"])).toBeUndefined();
    expect(run.kasmina.updateProblem(["host/stem/w", "teacher/w"])).toEqual({
      reason: "teacher_immutable",
      path: "teacher/w",
    });
    expect(run.order({ kind: "RESET", scope: "teacher" }).status).toBe("applied");
    expect(await run.runTo(0)).toEqual([{ kind: "reset", scope: "teacher", seedIds: [] }]);
    const names = run.events.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["teacher_registered", "registry_reset", "teacher_deregistered"]),
    );
  });

  test("is swapped, not added to, and must fit its budget", () => {
    const run = new ControlRun({ config: { teacher: { memoryBudgetBytes: 64 } } });
    run.kasmina.registerTeacher("t1", specs);
    expect(run.kasmina.registerTeacher("t2", specs)).toMatchObject({ id: "t2", bytes: 64 });
    expect(() => run.kasmina.registerTeacher("t3", { "teacher/w": float32([17], 0) })).toThrow(
      /68 bytes.*64/,
    );
    expect(() => run.kasmina.registerTeacher("t4", { "host/w": float32([1], 0) })).toThrow(/host\/w/);
    // What failed has changed nothing.
    expect(run.kasmina.teacher?.id).toBe("t2");
  });
});

describe("rollback", () => {
  test("is handed to the trainer, and puts seeds back to their earlier stage", async () => {
    const run = new ControlRun();
    await run.grow("TRAINING");
    const good = run.kasmina.snapshot();
    run.evaluate();
    run.operate("START_BLENDING");
    await run.runTo(run.step + 3);
    expect(run.order({ kind: "ROLLBACK", source: "memory", reason: "spike" }).status).toBe("applied");
    expect(await run.runTo(run.step)).toEqual([{ kind: "rollback", source: "memory", reason: "spike" }]);
    run.kasmina.rollBack(good, run.step, run.step);
    expect(seedOf(run).stage).toBe("TRAINING");
    run.kasmina.rollBack(good, run.step, run.step);
    expect(run.kasmina.snapshot()).toEqual({
      ...good,
      journalSequence: run.kasmina.snapshot().journalSequence,
    });
  });
});

describe("a snapshot", () => {
  test("survives JSON, with what no JSON number can be", async () => {
    const run = new ControlRun();
    await run.grow("BLENDING");
    run.kasmina.recordStep({
      loss: 1,
      seeds: { s1: { gradientNorm: Number.NaN, loss: Number.POSITIVE_INFINITY } },
    });
    const snapshot = run.kasmina.snapshot();
    expect(fromJsonText(toJsonText(snapshot))).toEqual(snapshot);
  });

  test("taken while a kernel is on its way asks for it again", async () => {
    const asked: string[] = [];
    const fetch = (request: KernelRequest) => {
      asked.push(request.requestId);
      return Promise.resolve(kernelFor(request));
    };
    const run = new ControlRun({ kernels: { fetch } });
    run.germinate();
    const resumed = new ControlRun({ kernels: { fetch } });
    resumed.kasmina.resume(fromJsonText(toJsonText(run.kasmina.snapshot())) as KasminaSnapshot);
    expect((await resumed.runTo(2)).map(({ kind }) => kind)).toEqual(["attach"]);
    expect(asked).toEqual([`${RUN_ID}/s1/0`, `${RUN_ID}/s1/0`]);
  });
});
