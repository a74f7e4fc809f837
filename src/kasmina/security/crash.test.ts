/**
 * The machine dies at every point between "received" and "acknowledged", the disk keeping any part of what was not
 * synced. After the restart the bus delivers again what was not acknowledged, and each command has one effect.
 */
import { describe, expect, test } from "vitest";
import type { ManualClock } from "../../base/index.js";
import type { CommandDelivery, CommandOutcome } from "../../contracts/index.js";
import { ControlRun, countingNonces, RUN_ID, ring, SLOTS } from "../control-run.fixture.js";
import type { KasminaSnapshot } from "../state/snapshot.js";
import { CrashStorage, PowerCut } from "./crash-storage.fixture.js";
import { DurableJournal } from "./durable-journal.js";

const LAST_STEP = 12;

function journalOn(storage: CrashStorage): DurableJournal {
  return new DurableJournal(storage, { keys: ring(), trainingRunId: RUN_ID });
}

/** A bus that delivers until it is stopped, and remembers what the sender was answered. */
class Bus {
  readonly messages = new Map<string, Uint8Array>();
  readonly outcomes: [string, CommandOutcome][] = [];
  dieBeforeAcknowledging = false;

  drain(): CommandDelivery[] {
    return [...this.messages].map(([busEntry, envelope]) => ({
      envelope,
      busEntry,
      acknowledge: (outcome) => {
        if (this.dieBeforeAcknowledging) throw new PowerCut();
        this.messages.delete(busEntry);
        this.outcomes.push([busEntry, outcome]);
      },
    }));
  }
}

interface World {
  readonly storage: CrashStorage;
  readonly bus: Bus;
  readonly checkpoint: KasminaSnapshot;
  readonly clock: ManualClock;
}

/** A run whose checkpoint stands at step 0, and three commands that wait on the bus. */
function newWorld(): World {
  const storage = new CrashStorage();
  const run = new ControlRun({ journal: journalOn(storage) });
  const bus = new Bus();
  const orders = ["s1", "s2"].map((seedId, at) =>
    run.draft(
      { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual" },
      { seedId, slotId: SLOTS[at]?.id ?? "" },
    ),
  );
  const drafts = [...orders, run.draft({ kind: "OPTIMIZER", learningRate: 0.5 })];
  for (const [at, draft] of drafts.entries()) bus.messages.set(`m${at}`, run.signer.sign(draft));
  return { storage, bus, checkpoint: run.kasmina.snapshot(), clock: run.clock };
}

/** Resumes from the checkpoint and runs on; commands are drained at every step. */
async function live({ storage, bus, checkpoint, clock }: World): Promise<ControlRun> {
  const run = new ControlRun({ journal: journalOn(storage), clock, nonces: countingNonces(1_000) });
  run.kasmina.resume(checkpoint);
  for (let step = 0; step <= LAST_STEP; step++) {
    run.step = step;
    if (step >= 3) run.kasmina.receive(bus, { step, epoch: 0 });
    else run.kasmina.receive({ drain: () => [] }, { step, epoch: 0 });
    await run.runTo(step);
  }
  return run;
}

function effects(run: ControlRun): unknown {
  return run.changes.map((change) => ("seed" in change ? [change.kind, change.seed.id] : [change.kind]));
}

const EXPECTED = [["optimizer"], ["attach", "s1"], ["attach", "s2"]];

describe("exactly one effect", () => {
  test("without a crash", async () => {
    const world = newWorld();
    expect(effects(await live(world))).toEqual(EXPECTED);
    expect(world.bus.outcomes.map(([, outcome]) => outcome.status)).toEqual([
      "applied",
      "applied",
      "applied",
    ]);
  });

  test("whatever was written when the power went", async () => {
    const dryRun = newWorld();
    await live(dryRun);
    const { points } = dryRun.storage;
    expect(points).toBeGreaterThan(500);
    // Every point near the ends of the write, every 16th in between.
    const deaths = Array.from({ length: points }, (_, at) => at).filter(
      (at) => at < 20 || at > points - 40 || at % 16 === 0,
    );
    for (const dieAt of deaths) {
      const world = newWorld();
      world.storage.dieAt = dieAt;
      await expect(live(world)).rejects.toThrow(/power cut/);
      const written = world.storage.volatile.length;
      world.storage.reboot(dieAt % 2 === 0 ? written : Math.floor(written / 2));
      expect(effects(await live(world))).toEqual(EXPECTED);
      expect(world.bus.messages.size).toBe(0);
      expect(new Set(world.bus.outcomes.map(([entry]) => entry))).toEqual(new Set(["m0", "m1", "m2"]));
    }
  });

  test("between the journal and the acknowledgement: the bus delivers again, the journal answers", async () => {
    const world = newWorld();
    world.bus.dieBeforeAcknowledging = true;
    await expect(live(world)).rejects.toThrow(/power cut/);
    world.storage.reboot(0);
    world.bus.dieBeforeAcknowledging = false;
    expect(effects(await live(world))).toEqual(EXPECTED);
    expect(world.bus.outcomes.map(([, outcome]) => outcome.status)).toEqual([
      "duplicate",
      "duplicate",
      "duplicate",
    ]);
  });

  test("after the acknowledgement: nothing is delivered, the journal does it again", async () => {
    const world = newWorld();
    await live(world);
    expect(world.bus.messages.size).toBe(0);
    const again = await live(world);
    expect(effects(again)).toEqual(EXPECTED);
    expect(world.bus.outcomes).toHaveLength(3);
  });

  test("a command that was never journaled but is delivered late is stale, not applied twice", async () => {
    const world = newWorld();
    const copy = new Map(world.bus.messages);
    await live(world);
    world.clock.advance(400_000);
    for (const [entry, envelope] of copy) world.bus.messages.set(`${entry}-again`, envelope);
    const run = await live(world);
    expect(effects(run)).toEqual(EXPECTED);
    const late = world.bus.outcomes.slice(3).map(([, outcome]) => outcome.reason);
    expect(late).toEqual(["stale_command", "stale_command", "stale_command"]);
  });
});
