import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { armKey, type BanditRecord, ranked, rewarded, scoreOf } from "./bandit.js";
import type { Arm } from "./policy.js";

const ARMS: readonly Arm[] = ["x", "y"].flatMap((id) =>
  ["a", "b"].map((slotId) => ({ slotId, candidate: { id, parameters: {} } })),
);
const [first, second, third] = ARMS as [Arm, Arm, Arm, Arm];

describe("the bandit", () => {
  test("starts in the order given, and tries its arms before it settles", () => {
    expect(ranked([], ARMS)).toEqual(ARMS);
    expect(ranked(rewarded([], first, 1), ARMS)[0]).toBe(second);
  });

  test("leaves what has failed, and its like", () => {
    const record = rewarded([], first, -1);
    expect(ranked(record, ARMS).at(-1)).toBe(first);
    expect(scoreOf(record, ARMS[3] as Arm)).toBeGreaterThanOrEqual(scoreOf(record, third));
  });

  test("comes to try the best arm most often", () => {
    for (let seed = 0; seed < 10; seed++) {
      const random = new Random(seed);
      const worth = new Map(ARMS.map((arm, i) => [armKey(arm), i === seed % 4 ? 1 : 0.3]));
      let record: BanditRecord = [];
      for (let i = 0; i < 300; i++) {
        const [arm = first] = ranked(record, ARMS);
        record = rewarded(record, arm, (worth.get(armKey(arm)) ?? 0) + 0.3 * random.normal());
      }
      const most = [...record].sort((a, b) => b.tries - a.tries)[0];
      expect(most?.key).toBe(armKey(ARMS[seed % 4] as Arm));
      expect(record.every(({ tries }) => tries > 0)).toBe(true);
    }
  });

  test("counts every try, and a reward that is not finite as none", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.oneof(fc.double(), fc.constant(Number.NaN)))), (tries) => {
        let record: BanditRecord = [];
        for (const [i, reward] of tries)
          record = rewarded(record, ARMS[i] as Arm, Math.max(-1e6, Math.min(1e6, reward)));
        expect(record.reduce((sum, known) => sum + known.tries, 0)).toBe(tries.length);
        expect(record.every(({ reward }) => Number.isFinite(reward))).toBe(true);
        expect(new Set(ranked(record, ARMS))).toEqual(new Set(ARMS));
      }),
    );
  });

  test("tells parameters apart, in whatever order they are named", () => {
    const arm = (parameters: Record<string, number>): Arm => ({
      slotId: "a",
      candidate: { id: "x", parameters },
    });
    expect(armKey(arm({ p: 1, q: 2 }))).toBe(armKey(arm({ q: 2, p: 1 })));
    expect(armKey(arm({ p: 1 }))).not.toBe(armKey(arm({ p: 2 })));
  });
});
