/** What every policy has to do, whatever it decides by; run on each implementation. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromJsonText, toJsonText } from "../base/index.js";
import { ADVANCING_OPERATIONS } from "../contracts/index.js";
import type { Budget } from "./budget.js";
import type { GrowthPolicyOptions } from "./growth-policy.js";
import type { Policy } from "./policy.js";
import { BLUEPRINTS, type Happened, SimulatedRun } from "./simulated-run.fixture.js";

export type MakePolicy = (options: GrowthPolicyOptions, seed: number) => Policy;

const anySeed = fc.integer({ min: 0, max: 2 ** 31 });
const anyBudget = fc.record({
  parameters: fc.constantFrom(0, 15, 75, "140%"),
  flops: fc.constantFrom("1%", "40%", 1e6, "200%"),
});

function course(
  policy: Policy,
  run: SimulatedRun,
  observe: (happened: Happened) => void = () => undefined,
): string {
  const lines: unknown[] = [];
  while (!run.isOver) {
    const happened = run.observe(policy);
    observe(happened);
    lines.push(happened.decisions);
  }
  return JSON.stringify(lines);
}

export function policyConformance(name: string, make: MakePolicy): void {
  const options = { blueprints: BLUEPRINTS, maxSeeds: 5, tail: 0.1 };

  describe(`${name} policy`, () => {
    test("germinates, and moves seeds on", () => {
      const actions = new Set<string>();
      for (let seed = 0; seed < 20; seed++) {
        course(make(options, seed), new SimulatedRun(seed), ({ decisions }) => {
          for (const decision of decisions)
            actions.add(decision.action === "advance" ? decision.operation : decision.action);
        });
      }
      expect([...actions]).toEqual(expect.arrayContaining(["germinate", ...ADVANCING_OPERATIONS]));
    });

    test("blends evenly, in half of the time between two observations where that is long", () => {
      for (const [stretch, steps] of [
        [1, 20],
        [7, 70],
      ] as const) {
        const ramps = new Set<string>();
        const run = new SimulatedRun(3);
        const policy = make(options, 3);
        // The same run, seen by somebody whose steps are shorter.
        const watcher: Policy = {
          version: "",
          decide: (state, context) => policy.decide({ ...state, step: state.step * stretch }, context),
          snapshot: () => policy.snapshot(),
          restore: (snapshot) => policy.restore(snapshot),
        };
        course(watcher, run, ({ decisions }) => {
          for (const decision of decisions)
            if (decision.action === "advance" && decision.blend)
              ramps.add(JSON.stringify(decision.blend.schedule));
        });
        expect([...ramps]).toEqual([JSON.stringify({ steps, curve: "linear" })]);
      }
    });

    test("never exceeds its budgets", () => {
      fc.assert(
        fc.property(anySeed, anyBudget, (seed, budget) => {
          const run = new SimulatedRun(seed);
          const { parameters, flops } = budget as Required<Budget>;
          const [maxScalars, maxFlops] = [amountOf(parameters, 100), amountOf(flops, run.hostFlops)];
          course(make({ ...options, budget: budget as Budget }, seed), run, () => {
            expect(run.seedScalars).toBeLessThanOrEqual(maxScalars);
            expect(run.seedFlops).toBeLessThanOrEqual(maxFlops);
          });
          expect(run.seedFlops).toBeLessThanOrEqual(maxFlops);
        }),
        { numRuns: 80 },
      );
    });

    test("germinates nothing with a budget where nobody counts", () => {
      const policy = make({ ...options, budget: { flops: "1000%" } }, 1);
      const run = new SimulatedRun(1);
      while (!run.isOver) {
        const { state } = run.observe({
          version: "",
          decide: () => [],
          snapshot: () => null,
          restore: () => undefined,
        });
        expect(policy.decide(state)).toEqual([]);
      }
    });

    test("respects embargoes, asks one thing of a seed at a time, and says why in one line", () => {
      fc.assert(
        fc.property(anySeed, (seed) => {
          course(make(options, seed), new SimulatedRun(seed), ({ state, decisions }) => {
            expect(new Set(decisions.map(({ seedId }) => seedId)).size).toBe(decisions.length);
            for (const decision of decisions) {
              expect(decision.why).toMatch(/^\S[^\n]{8,}$/);
              expect(decision.logits.every(Number.isFinite)).toBe(true);
              if (decision.action !== "germinate") continue;
              expect(state.closedBlueprints[decision.blueprintId]).toBeUndefined();
              expect(state.slots.find(({ id }) => id === decision.slotId)?.closedUntilStep).toBeUndefined();
            }
          });
        }),
        { numRuns: 30 },
      );
    });

    test("sends no second command to a seed that one is planned for", () => {
      const policy = make(options, 3);
      course(policy, new SimulatedRun(3), ({ state }) => {
        const seeds = state.seeds.map((seed) => ({
          ...seed,
          pending: { change: "stage", effectiveStep: state.step + 20 },
        }));
        const copy = make(options, 3);
        copy.restore(policy.snapshot());
        expect(copy.decide({ ...state, seeds }).filter(({ action }) => action !== "germinate")).toEqual([]);
      });
    });

    test("does nothing but cull while inputs are degraded, and goes on after", () => {
      const all = Array.from({ length: 30 }, (_, seed) => seed).flatMap((seed) => {
        const happened: Happened[] = [];
        course(make(options, seed), new SimulatedRun(seed), (one) => void happened.push(one));
        return happened;
      });
      const degraded = all.filter((one) => one.degraded);
      expect(degraded.length).toBeGreaterThan(30);
      for (const { decisions } of degraded)
        expect(decisions.filter(({ action }) => action !== "cull")).toEqual([]);
      const after = all.filter((one, i) => !one.degraded && all[i - 1]?.degraded);
      expect(after.flatMap(({ decisions }) => decisions).length).toBeGreaterThan(0);
    });

    test("decides the same again, and goes on from a checkpoint as if it had never stopped", () => {
      fc.assert(
        fc.property(anySeed, fc.integer({ min: 1, max: 99 }), (seed, cutAt) => {
          const whole = course(make(options, seed), new SimulatedRun(seed));
          let policy = make(options, seed);
          const run = new SimulatedRun(seed);
          const lines: unknown[] = [];
          for (let i = 0; !run.isOver; i++) {
            if (i === cutAt) {
              const kept = toJsonText({ policy: policy.snapshot() });
              policy = make(options, seed);
              policy.restore((fromJsonText(kept) as { policy: unknown }).policy);
            }
            lines.push(run.observe(policy).decisions);
          }
          expect(JSON.stringify(lines)).toBe(whole);
        }),
        { numRuns: 30 },
      );
    });
  });
}

function amountOf(amount: number | string, ofHost: number): number {
  return typeof amount === "number" ? amount : (Number(amount.slice(0, -1)) / 100) * ofHost;
}
