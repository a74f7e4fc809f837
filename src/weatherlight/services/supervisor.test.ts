import { expect, test } from "vitest";
import { type Deferred, deferred, ManualClock } from "../../base/index.js";
import { programsSchema, Supervisor, type SupervisorAlert } from "./supervisor.js";

/** A supervisor of one program that ends when it is told to. */
function supervised() {
  const clock = new ManualClock();
  const alerts: SupervisorAlert[] = [];
  const lives: Deferred<{ code: number | null; reason: string }>[] = [];
  const stops: boolean[] = [];
  const supervisor = new Supervisor({
    programs: [{ name: "tamiyo", args: ["serve", "tamiyo"] }],
    start: () => {
      const life = deferred<{ code: number | null; reason: string }>();
      lives.push(life);
      return { ended: life.promise, stop: (now) => void stops.push(now) };
    },
    onAlert: (alert) => void alerts.push(alert),
    clock,
  });
  const end = async (code: number | null): Promise<void> => {
    lives.at(-1)?.resolve({ code, reason: `exit ${code}` });
    await Promise.resolve();
    await Promise.resolve();
  };
  return { supervisor, clock, alerts, lives, stops, end };
}

test("what ends with an error is started again, later each time, and given up after six ends in a row", async () => {
  const { supervisor, clock, alerts, lives, end } = supervised();
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000]) {
    const before = lives.length;
    await end(1);
    expect(alerts.at(-1)).toEqual({
      kind: "program_ended",
      name: "tamiyo",
      reason: "exit 1",
      restartMs: pauseMs,
    });
    clock.advance(pauseMs - 1);
    expect(lives.length).toBe(before);
    clock.advance(1);
    expect(lives.length).toBe(before + 1);
  }
  expect(supervisor.givenUp).toEqual([]);
  await end(null);
  expect(alerts.at(-1)).toEqual({
    ...{ kind: "program_given_up", name: "tamiyo", reason: "exit null; 6 times in a row" },
  });
  clock.advance(3_600_000);
  expect(lives.length).toBe(6);
  expect(supervisor.givenUp).toEqual(["tamiyo"]);
  expect(supervisor.status()).toEqual([{ name: "tamiyo", running: false, starts: 6, given_up: true }]);
});

test("one that lived for a minute begins anew", async () => {
  const { clock, alerts, end } = supervised();
  for (let i = 0; i < 20; i++) {
    clock.advance(60_000);
    await end(1);
    expect(alerts.at(-1)).toMatchObject({ kind: "program_ended", restartMs: 1_000 });
    clock.advance(1_000);
  }
});

test("wrong use is given up at once, and what ended in order is left alone", async () => {
  const wrong = supervised();
  await wrong.end(2);
  expect(wrong.alerts).toEqual([{ kind: "program_given_up", name: "tamiyo", reason: "exit 2" }]);
  const done = supervised();
  await done.end(0);
  done.clock.advance(60_000);
  expect([done.alerts, done.lives.length]).toEqual([[], 1]);
});

test("closing ends what runs, by force after 10 s, and starts nothing more", async () => {
  const { supervisor, clock, lives, stops, end, alerts } = supervised();
  const closing = supervisor.close();
  expect(stops).toEqual([false]);
  clock.advance(10_000);
  expect(stops).toEqual([false, true]);
  await end(1);
  await closing;
  clock.advance(60_000);
  expect([lives.length, alerts]).toEqual([1, []]);
});

test.each([
  [[], /.*/],
  [[{ name: "a b", args: ["serve"] }], /letters/],
  [[{ name: "a", args: [] }], /.*/],
  [[{ name: "a", args: ["x"], shell: true }], /shell/],
  [
    [
      { name: "a", args: ["x"] },
      { name: "a", args: ["y"] },
    ],
    /same name/,
  ],
])("%j is no list of programs", (value, message) => {
  expect(() => programsSchema.parse(value)).toThrow(message);
});
