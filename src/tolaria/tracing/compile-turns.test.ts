import { expect, test } from "vitest";
import { deferred } from "../../base/index.js";
import { CompileTurns } from "./compile-turns.js";

/** Who has had a turn, in order. */
function start() {
  const turns = new CompileTurns();
  const had: string[] = [];
  const ask = (name: string) => {
    const hurry = deferred<void>();
    void turns.next(hurry.promise).then(() => had.push(name));
    return hurry;
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { turns, had, ask, settled };
}

test("one caller has a turn after each step, the first first", async () => {
  const { turns, had, ask, settled } = start();
  ask("a");
  ask("b");
  await settled();
  expect(had).toEqual([]);
  turns.afterStep();
  await settled();
  expect(had).toEqual(["a"]);
  turns.afterStep();
  await settled();
  expect(had).toEqual(["a", "b"]);
});

test("a caller in a hurry waits for no step, and takes no turn from others", async () => {
  const { turns, had, ask, settled } = start();
  const hurry = ask("a");
  ask("b");
  hurry.resolve();
  await settled();
  expect(had).toEqual(["a"]);
  turns.afterStep();
  await settled();
  expect(had).toEqual(["a", "b"]);
});

test("a step that nobody waits for is nobody's turn", async () => {
  const { turns, had, ask, settled } = start();
  turns.afterStep();
  ask("a");
  await settled();
  expect(had).toEqual([]);
});
