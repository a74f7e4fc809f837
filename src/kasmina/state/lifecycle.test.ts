import { describe, expect, test } from "vitest";
import { KasminaError } from "../../base/index.js";
import { STAGES, type Stage } from "../../contracts/index.js";
import { ADVANCES, canTransition, gateOf, transition } from "./lifecycle.js";

/** DESIGN §7, copied as written there. */
const ALLOWED = `
UNKNOWN→DORMANT            DORMANT→GERMINATED|TERMINATED     GERMINATED→TRAINING|CULLED
TRAINING→BLENDING|CULLED   BLENDING→SHADOWING|CULLED         SHADOWING→PROBATIONARY|CULLED
PROBATIONARY→FOSSILIZED|CULLED   FOSSILIZED→TERMINATED       CULLED→EMBARGOED
EMBARGOED→RESETTING        RESETTING→DORMANT`;

const allowed = new Set(
  ALLOWED.trim()
    .split(/\s+/)
    .flatMap((row) => {
      const [from, targets = ""] = row.split("→");
      return targets.split("|").map((to) => `${from}→${to}`);
    }),
);

const pairs = STAGES.flatMap((from) => STAGES.map((to): [Stage, Stage] => [from, to]));

describe("every transition of the 12×12 table", () => {
  test("has 17 allowed ones", () => {
    expect(pairs).toHaveLength(144);
    expect(allowed.size).toBe(17);
  });

  test.each(pairs)("%s → %s", (from, to) => {
    expect(canTransition(from, to)).toBe(allowed.has(`${from}→${to}`));
    if (allowed.has(`${from}→${to}`)) expect(transition(from, to)).toBe(to);
    else expect(() => transition(from, to)).toThrow(KasminaError);
  });
});

test("advancing operations are transitions of the table and name the gate of the stage they enter", () => {
  const gates = Object.values(ADVANCES).map(({ from, to, gate }) => {
    expect(canTransition(from, to)).toBe(true);
    expect(gateOf(to)).toBe(gate);
    return gate;
  });
  expect(gates).toEqual([
    "G1_GRADIENT_HEALTH",
    "G2_STABILITY",
    "G3_INTERFACE",
    "G4_SYSTEM_IMPACT",
    "G4_SYSTEM_IMPACT",
  ]);
});
