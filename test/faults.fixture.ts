/** What a run does about faults in its data, its seeds and its memory: the same on every engine. */
import { beforeAll, describe, expect, test } from "vitest";
import { batchesWithNaN, spoilingBackend } from "../bench/soak/faults.js";
import { systemClock } from "../src/base/index.js";
import {
  type CommandDelivery,
  type CommandDraft,
  type CommandOutcome,
  CommandSigner,
  KeyRing,
  type TelemetryPacket,
} from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import { type Backend, openBackend } from "../src/engine/index.js";
import { parseConfig } from "../src/kasmina/index.js";
import { builtinBlueprints, resmlp } from "../src/nn/index.js";
import type { GoodState } from "../src/tolaria/index.js";
import type { RunCheckpoint } from "../src/weatherlight/grow/run-outcome.js";
import type { RunSetup } from "../src/weatherlight/grow/run-setup.js";
import { trainRun } from "../src/weatherlight/grow/train-run.js";
import { eventsOf, runScript, type ScriptedSeed } from "./support/scripted-growth.js";

const dataset = makeSpirals({ seed: 3 });

const config = parseConfig({
  kernel: { latencyBudgetMs: 600_000 },
  leadSteps: 2,
  gates: { confidence: 0, minShadowGain: -100, minContribution: -100, divergenceRatio: 1e6 },
});

function seedUntil(until: ScriptedSeed["until"]): ScriptedSeed {
  return { seedId: "s1", slotId: "block1", blueprintId: "mlp-residual", parameters: { hidden: 8 }, until };
}

function optionsFor(backend: Backend): Omit<RunSetup, "policy"> {
  return {
    runId: "faults",
    host: resmlp({ ...dataset, width: 8 }),
    dataset,
    backend,
    blueprints: builtinBlueprints,
    epochs: 8,
    batch: 60,
    seed: 5,
    config,
  };
}

/** Keeps a run's checkpoints of epoch starts, as a run folder does. */
class Shelf {
  readonly kept: RunCheckpoint[] = [];
  readonly ports = {
    onCheckpoint: async (checkpoint: RunCheckpoint) => {
      if (checkpoint.atEpochStart) this.kept.push(checkpoint);
    },
    readCheckpoint: async (step: number): Promise<GoodState | undefined> =>
      this.kept.filter((checkpoint) => checkpoint.step < step).at(-1),
  };
}

/** An operator who gives each order at the boundary of its number. */
class Orders {
  readonly outcomes: string[] = [];
  readonly ports: Pick<RunSetup, "keys" | "commands">;

  constructor(orders: Readonly<Record<number, Pick<CommandDraft, "order" | "seedId">>>) {
    const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(1) }]);
    const signer = new CommandSigner({ keys, clock: systemClock });
    let boundary = 0;
    const drain = (): CommandDelivery[] => {
      const at = boundary++;
      const what = orders[at];
      if (!what) return [];
      const draft = { commandId: `c${at}`, trainingRunId: "faults", issuedBy: "test", ...what };
      const acknowledge = ({ status }: CommandOutcome): void => void this.outcomes.push(status);
      return [{ envelope: signer.sign(draft), busEntry: `entry-${at}`, acknowledge }];
    };
    this.ports = { keys, commands: { drain } };
  }
}

function restored(packets: readonly TelemetryPacket[]) {
  return eventsOf(packets, "rollback_restored").map(({ attributes }) => attributes);
}

/**
 * Tests of one engine.
 * @param cuts steps at which a run with faults at 95, 150, 151 and 205 is cut and resumed
 */
export function describeFaults(engine: "wasm" | "native", cuts: readonly number[]): void {
  let backend: Backend;
  beforeAll(async () => {
    ({ backend } = await openBackend(engine, { threads: 1 }));
  });

  describe(`a NaN on ${engine}`, () => {
    test("in a batch is rolled back; no seed is to blame, and the one in the output goes on", async () => {
      const batches = batchesWithNaN((step) => step === 205);
      const { result, packets } = await runScript({ ...optionsFor(backend), batches }, [
        seedUntil("PROBATIONARY"),
      ]);
      expect(restored(packets)).toEqual([
        expect.objectContaining({
          source: "memory",
          cause: "data_not_finite",
          restored: true,
          step: 205,
          restored_step: 200,
          culled: "",
        }),
      ]);
      expect(result?.end).toBe("finished");
      expect(result?.testLoss).toBeLessThan(1);
      expect(result?.seeds.map(({ seed }) => seed.stage)).toEqual(["PROBATIONARY"]);
    });

    test("in the host is rolled back, the seeds in the output are culled, the run goes on", async () => {
      const spoilt = spoilingBackend(backend, (run) =>
        run === 205 ? { path: "host/block1/up" } : undefined,
      );
      const { result, packets } = await runScript(optionsFor(spoilt), [seedUntil("SHADOWING")]);
      const [told, ...more] = restored(packets);
      expect(more).toEqual([]);
      expect(told).toMatchObject({ source: "memory", cause: "loss_not_finite", step: 205, culled: "s1" });
      expect(told?.latency_ms).toEqual(expect.any(Number));
      expect(eventsOf(packets, "seed_stage").map(({ attributes }) => attributes)).toContainEqual({
        from: "SHADOWING",
        to: "CULLED",
        step: 206,
        cause: "rollback: loss_not_finite",
      });
      expect(result?.end).toBe("finished");
      expect(result?.testLoss).toBeLessThan(1);
    });

    test("in a seed that is in the output is rolled back, and the seed culled", async () => {
      const spoilt = spoilingBackend(backend, (run) => (run === 205 ? { path: "seed/s1/up" } : undefined));
      const { result, packets } = await runScript(optionsFor(spoilt), [seedUntil("PROBATIONARY")]);
      expect(restored(packets)).toEqual([
        expect.objectContaining({ cause: "loss_not_finite", step: 205, culled: "s1" }),
      ]);
      expect(result?.end).toBe("finished");
      expect(Object.keys(result?.checkpoint.tensors ?? {}).filter((path) => path.includes("s1"))).toEqual([]);
    });

    test("in a seed that has just come into the output culls it, though it is back in TRAINING then", async () => {
      const sound = await runScript(optionsFor(backend), [seedUntil("BLENDING")]);
      const stages = eventsOf(sound.packets, "seed_stage").map(({ attributes }) => attributes);
      const blendsAt = Number(stages.find(({ to }) => to === "BLENDING")?.step);
      const spoilt = spoilingBackend(backend, (run) =>
        run === blendsAt + 2 ? { path: "seed/s1/up" } : undefined,
      );
      const { result, packets } = await runScript(optionsFor(spoilt), [seedUntil("BLENDING")]);
      expect(restored(packets)).toEqual([
        expect.objectContaining({ culled: "s1", returned: "s1 BLENDING → TRAINING" }),
      ]);
      expect(result?.end).toBe("finished");
    });

    test("in a seed that is paused is found where nothing else shows it, and never kept", async () => {
      const order = new Orders({
        100: { seedId: "s1", order: { kind: "PAUSE", resume: false } },
        160: { seedId: "s1", order: { kind: "PAUSE", resume: true } },
      });
      const spoilt = spoilingBackend(backend, (run) => (run === 115 ? { path: "seed/s1/up" } : undefined));
      const { result, packets } = await runScript({ ...optionsFor(spoilt), ...order.ports }, [
        seedUntil("TRAINING"),
      ]);
      expect(order.outcomes).toEqual(["applied", "refused"]);
      expect(eventsOf(packets, "seed_stage").map(({ attributes }) => attributes)).toContainEqual({
        from: "TRAINING",
        to: "CULLED",
        step: 121,
        cause: "state_not_finite",
      });
      expect(result?.end).toBe("finished");
      expect(restored(packets)).toEqual([]);
    });

    test("in a seed in TRAINING culls it, and the host learns on as if it were alone", async () => {
      const spoilt = spoilingBackend(backend, (run) => (run === 100 ? { path: "seed/s1/up" } : undefined));
      const { result, packets } = await runScript(optionsFor(spoilt), [seedUntil("TRAINING")]);
      expect(restored(packets)).toEqual([]);
      expect(eventsOf(packets, "seed_stage").map(({ attributes }) => attributes)).toContainEqual({
        from: "TRAINING",
        to: "CULLED",
        step: 101,
        cause: "loss_not_finite",
      });
      const alone = await trainRun({ ...optionsFor(backend), policy: null });
      expect(result?.checkpoint.tensors).toEqual(alone.checkpoint.tensors);
    });

    test("that comes back at once is rolled back to the checkpoint; again and again, it ends the run", async () => {
      const shelf = new Shelf();
      const twice = batchesWithNaN((step) => step === 205 || step === 206);
      const once = await runScript({ ...optionsFor(backend), ...shelf.ports, batches: twice }, []);
      expect(restored(once.packets)).toEqual([
        expect.objectContaining({ source: "memory", restored_step: 200 }),
        expect.objectContaining({ source: "checkpoint", restored_step: 180 }),
      ]);
      expect(once.result?.end).toBe("finished");
      const stays = batchesWithNaN((step) => step >= 205);
      const ended = await runScript({ ...optionsFor(backend), batches: stays }, []);
      expect(ended.error).toMatchObject({
        code: "loss_not_finite",
        message: expect.stringContaining("again after 3 rollbacks"),
      });
      expect(restored(ended.packets)).toHaveLength(3);
    });

    test("is counted anew after a rollback that was ordered, at the very boundary of an observation too", async () => {
      const order = new Orders({ 210: { order: { kind: "ROLLBACK", source: "memory", reason: "whim" } } });
      const batches = batchesWithNaN((step) => [205, 206, 215, 216].includes(step));
      const { result, packets } = await runScript({ ...optionsFor(backend), ...order.ports, batches }, []);
      expect(order.outcomes).toEqual(["applied"]);
      expect(restored(packets)).toHaveLength(5);
      expect(result?.end).toBe("finished");
    });

    test("leaves no trace of chance: cut anywhere around it and resumed, the run ends with the same bits", async () => {
      const steps = [95, 150, 151, 205];
      const batches = batchesWithNaN((step) => steps.includes(step));
      const options = { ...optionsFor(backend), batches };
      const script = [seedUntil("PROBATIONARY")];
      const whole = await runScript({ ...options, ...new Shelf().ports }, script);
      expect(restored(whole.packets)).toHaveLength(steps.length);
      for (const untilStep of cuts) {
        const shelf = new Shelf();
        const until = { step: untilStep, at: "boundary" as const };
        const cut = await runScript({ ...options, ...shelf.ports, until }, script);
        const resume = cut.result?.checkpoint;
        if (!resume) throw cut.error;
        const rest = await runScript({ ...options, ...shelf.ports, resume }, script);
        expect(rest.result?.checkpoint.tensors, `cut at ${untilStep}`).toEqual(
          whole.result?.checkpoint.tensors,
        );
        expect(rest.result?.flopsTotal).toBe(whole.result?.flopsTotal);
      }
    });
  });
}
