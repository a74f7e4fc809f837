import { expect, test } from "vitest";
import { ControlRun } from "../control-run.fixture.js";
import { tryNames } from "./identifiers.fixture.js";

test.each([
  ['x"y', "target_seed_id"],
  ["n\nl", "target_seed_id"],
  ["__proto__", "target_seed_id"],
  ["../x", "target_seed_id"],
  ["y".repeat(3_000), "target_seed_id"],
  ["\ufeffs1", "target_seed_id"],
])("a seed cannot be called %j", (seedId, field) => {
  const run = new ControlRun();
  const outcome = run.germinate(seedId);
  expect(outcome).toMatchObject({ status: "refused", reason: "invalid_id" });
  expect(outcome.message).toBe(
    `${field} must be 1 to 64 letters, digits, ., _ and -, the first a letter or a digit`,
  );
  expect(run.kasmina.seeds()).toEqual([]);
  run.kasmina.flushTelemetry({ step: 0, epoch: 0 });
  expect(run.events.find(({ name }) => name === "seed_operation")?.attributes).toMatchObject({
    status: "refused",
    reason: "invalid_id",
  });
});

test.each(["a.b", "Seed_1-x", "0"])("a seed can be called %j", (seedId) =>
  expect(new ControlRun().germinate(seedId)).toMatchObject({ status: "applied", seedId }));

test("slots, blueprints, parameters, artifacts, command and issuer are checked by name", () => {
  const run = new ControlRun();
  const seed = { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual" } as const;
  const refusals = [
    run.germinate("s1", 'b"1'),
    run.germinate("s1", "block1", "mlp\nresidual"),
    run.order({ ...seed, parameters: { "hidden units": 8 } }, { seedId: "s1", slotId: "block1" }),
    run.order({ ...seed, artifactSha256: "a/b" }, { seedId: "s1", slotId: "block1" }),
    run.order(seed, { commandId: "c\u001b[2J", seedId: "s1", slotId: "block1" }),
    run.order(seed, { issuedBy: "me\u0007", seedId: "s1", slotId: "block1" }),
  ];
  expect(refusals.map(({ reason, message }) => [reason, message?.split(" must")[0]])).toEqual([
    ["invalid_id", "slot_id"],
    ["invalid_id", "blueprint_id"],
    ["invalid_id", "a parameter's name"],
    ["invalid_id", "artifact_sha256"],
    ["invalid_id", "command_id"],
    ["invalid_id", "issued_by"],
  ]);
  expect(run.order(seed, { issuedBy: "Ünïcode ☃", seedId: "s1", slotId: "block1" }).status).toBe("applied");
});

test("whatever names are, a run goes on", () => tryNames(5_000));

test("a command with more parameters than any blueprint has is refused before they are looked at", () => {
  const run = new ControlRun();
  const parameters = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`p${i}`, i]));
  const order = { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual", parameters } as const;
  expect(run.order(order, { seedId: "s1", slotId: "block1" })).toMatchObject({
    status: "refused",
    reason: "invalid_id",
    message: "parameters must be 64 at most, got 2000",
  });
});
