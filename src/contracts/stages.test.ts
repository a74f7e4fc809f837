import { describe, expect, test } from "vitest";
import { ADVANCING_OPERATIONS, STAGES, type Stage } from "./names.js";
import * as stages from "./stages.js";

/** Written down a second time, as docs/architecture.md shows it. */
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
    expect(stages.canTransition(from, to)).toBe(allowed.has(`${from}→${to}`));
  });
});

test("advancing operations are transitions of the table and name the gate of the stage they enter", () => {
  const advances = ADVANCING_OPERATIONS.map((operation) => stages.ADVANCES[operation]);
  for (const advance of advances) {
    expect(stages.canTransition(advance.from, advance.to)).toBe(true);
    expect(stages.gateOf(advance.to)).toBe(advance.gate);
    expect(stages.advanceFrom(advance.from)).toBe(advance);
  }
  expect(advances.map(({ operation, gate }) => [operation, gate])).toEqual([
    ["START_TRAINING", "G1_GRADIENT_HEALTH"],
    ["START_BLENDING", "G2_STABILITY"],
    ["START_SHADOWING", "G3_INTERFACE"],
    ["START_PROBATION", "G4_SYSTEM_IMPACT"],
    ["FOSSILIZE", "G4_SYSTEM_IMPACT"],
  ]);
  expect(STAGES.filter((stage) => !stages.advanceFrom(stage) && stages.isGrowing(stage))).toEqual([]);
});

const SHADOW = ["GERMINATED", "TRAINING"];
const BLENDED = ["BLENDING", "SHADOWING", "PROBATIONARY"];
test.each<[string, (stage: Stage) => unknown, readonly string[]]>([
  ["in the shadow", stages.isInShadow, SHADOW],
  ["blended", stages.isBlended, BLENDED],
  ["in the output", stages.isInOutput, [...BLENDED, "FOSSILIZED"]],
  ["growing", stages.isGrowing, [...SHADOW, ...BLENDED]],
  ["culled by a command", stages.canCull, [...SHADOW, ...BLENDED]],
  ["in the topology", stages.partOf, [...SHADOW, ...BLENDED, "FOSSILIZED"]],
  ["holding parameters", stages.holdsParameters, [...SHADOW, ...BLENDED, "FOSSILIZED"]],
  ["removed", stages.isRemoved, ["CULLED", "EMBARGOED", "RESETTING"]],
  ["absent", (stage) => !stages.isLiving(stage), ["UNKNOWN", "DORMANT", "TERMINATED"]],
])("stages %s", (_, belongs, expected) => {
  expect(STAGES.filter(belongs)).toEqual(expected);
});
