import { expect, test } from "vitest";
import { deferred } from "../../base/index.js";
import { CompileSchedule } from "./compile-schedule.js";

/** Who has had a turn, in order. */
function start() {
  const schedule = new CompileSchedule();
  const had: string[] = [];
  const ask = (name: string) => {
    const urgent = deferred<void>();
    void schedule.next(urgent.promise).then(() => had.push(name));
    return urgent;
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { schedule, had, ask, settled };
}

test("one caller has a turn after each step, the first first", async () => {
  const { schedule, had, ask, settled } = start();
  ask("a");
  ask("b");
  await settled();
  expect(had).toEqual([]);
  schedule.afterStep();
  await settled();
  expect(had).toEqual(["a"]);
  schedule.afterStep();
  await settled();
  expect(had).toEqual(["a", "b"]);
});

test("an urgent caller waits for no step, and takes no turn from others", async () => {
  const { schedule, had, ask, settled } = start();
  const urgent = ask("a");
  ask("b");
  urgent.resolve();
  await settled();
  expect(had).toEqual(["a"]);
  schedule.afterStep();
  await settled();
  expect(had).toEqual(["a", "b"]);
});

test("a step that nobody waits for is nobody's turn", async () => {
  const { schedule, had, ask, settled } = start();
  schedule.afterStep();
  ask("a");
  await settled();
  expect(had).toEqual([]);
});
