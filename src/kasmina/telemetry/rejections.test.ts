import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.js";
import { ControlRun } from "../control-run.fixture.js";

const rejectionsOf = (run: ControlRun) =>
  run.events.filter(({ name }) => name === "command_rejected").map(({ attributes }) => attributes);

test("a flood of rejected commands is told at once, then once a second, and every one is counted", () => {
  const clock = new ManualClock();
  const run = new ControlRun({ clock });
  const flood = (count: number): void => {
    for (let i = 0; i < count; i++) run.handle(run.deliver(new Uint8Array()));
    run.kasmina.flushTelemetry({ step: 0, epoch: 0 });
  };
  flood(5_000);
  expect(rejectionsOf(run)).toEqual([
    { reason: "missing_signature", command_id: "", bus_entry: "entry-1", count: 1 },
  ]);
  clock.advance(999);
  flood(1);
  expect(rejectionsOf(run)).toHaveLength(1);
  clock.advance(1);
  flood(0);
  expect(rejectionsOf(run).at(-1)).toMatchObject({ count: 5_000, bus_entry: "entry-5001" });
  clock.advance(1_000);
  flood(1);
  expect(rejectionsOf(run)).toHaveLength(3);
  expect(
    run.kasmina.telemetry.total("kasmina.command_verifier.rejections_total", { reason: "missing_signature" }),
  ).toBe(5_002);
});

test("another reason does not wait for the first, and the end of a run keeps nothing back", () => {
  const run = new ControlRun();
  for (let i = 0; i < 3; i++) run.handle(run.deliver(new Uint8Array()));
  run.order({ kind: "PAUSE", resume: false }, { trainingRunId: "another-run" });
  run.order({ kind: "PAUSE", resume: false }, { trainingRunId: "another-run" });
  expect(rejectionsOf(run).map(({ reason, count }) => [reason, count])).toEqual([
    ["missing_signature", 1],
    ["wrong_run", 1],
  ]);
  run.kasmina.close();
  expect(rejectionsOf(run).map(({ reason, count }) => [reason, count])).toEqual([
    ["missing_signature", 1],
    ["wrong_run", 1],
    ["missing_signature", 2],
    ["wrong_run", 1],
  ]);
});
