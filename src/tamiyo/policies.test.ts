import { expect, test } from "vitest";
import { RandomPolicy, SchedulePolicy } from "./baseline-policies.js";
import { PlateauPolicy } from "./plateau-policy.js";
import { policyConformance } from "./policy.conformance.js";
import { BLUEPRINTS, SimulatedRun } from "./simulated-run.fixture.js";

policyConformance("plateau", (options) => new PlateauPolicy({ ...options, minTraining: 3, maxTraining: 6 }));
policyConformance(
  "schedule",
  (options) => new SchedulePolicy({ ...options, at: [0.1, 0.3, 0.5, 0.7], training: 4 }),
);
policyConformance("random", (options, seed) => new RandomPolicy({ ...options, seed, training: 4 }));

test("a policy without a blueprint, or with a budget that is no amount, is refused", () => {
  expect(() => new PlateauPolicy({ blueprints: [] })).toThrow("at least one blueprint");
  for (const flops of [-1, Number.NaN, "-5%", "x%"] as const)
    expect(() => new SchedulePolicy({ blueprints: BLUEPRINTS, budget: { flops: flops as never } })).toThrow(
      "budget.flops",
    );
});

test("other random seeds give other random policies", () => {
  const courseOf = (seed: number): string => {
    const policy = new RandomPolicy({ blueprints: BLUEPRINTS, seed });
    const run = new SimulatedRun(7);
    const lines: unknown[] = [];
    while (!run.isOver) lines.push(run.observe(policy).decisions);
    return JSON.stringify(lines);
  };
  expect(courseOf(1)).not.toBe(courseOf(2));
});
