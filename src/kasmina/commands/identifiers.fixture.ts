/** Orders whose names are anything: none ends a run, and no seed gets a name that is none. */
import fc from "fast-check";
import { expect } from "vitest";
import { isIdentifier } from "../../base/text.js";
import type { CommandDraft, Order } from "../../contracts/commands.js";
import { ADVANCING_OPERATIONS } from "../../contracts/names.js";
import { ControlRun } from "../control-run.fixture.js";

const HOSTILE = [
  ...['x"y', "n\nl", "__proto__", "constructor", "../x", "y".repeat(3_000), "\u001b[31m", "a\u0000b"],
  ...["<script>", "a'b", "\ufeffa", "\u202etxt", "{", "a,b", "s1", "block1", "mlp-residual", "hidden", ""],
];
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.stringMatching(/^[\w.-]{1,70}$/),
);

const order: fc.Arbitrary<Order> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("SEED" as const),
      operation: fc.constantFrom("GERMINATE", "CULL", "CANCEL", "ADJUST_BLEND", ...ADVANCING_OPERATIONS),
      blueprintId: fc.oneof(fc.constant("mlp-residual"), name),
      parameters: fc.dictionary(name, fc.double(), { maxKeys: 2 }),
      artifactSha256: name,
    }),
  },
  fc.record({ kind: fc.constant("EMERGENCY" as const), level: fc.constant("CLEAR" as const), reason: name }),
  fc.record({ kind: fc.constant("ROLLBACK" as const), source: fc.constant("memory" as const), reason: name }),
  fc.constant({ kind: "OPTIMIZER" as const, learningRate: 0.1 }),
  fc.constant({ kind: "CIRCUIT_BREAKER" as const, breaker: "isolation" as const, action: "open" as const }),
  fc.record({ kind: fc.constant("PAUSE" as const), resume: fc.boolean() }),
);

export const commandDrafts: fc.Arbitrary<Partial<CommandDraft> & { readonly order: Order }> = fc.record(
  { order, commandId: name, issuedBy: name, seedId: name, slotId: fc.oneof(fc.constant("block1"), name) },
  { requiredKeys: ["order"] },
);

/** @param values of names tried, about five a command */
export function tryNames(values: number): void {
  let run = new ControlRun();
  let commands = 0;
  fc.assert(
    fc.property(commandDrafts, (fields) => {
      // A run of its own for every hundred: seeds pile up.
      if (++commands % 100 === 0) run = new ControlRun();
      const { order: what, ...rest } = fields;
      const outcome = run.order(what, rest);
      expect(["applied", "refused", "duplicate"]).toContain(outcome.status);
      if (outcome.status === "refused") expect(outcome.reason).toMatch(/^[a-z_]+$/);
      for (const { id } of run.kasmina.seeds()) expect(isIdentifier(id)).toBe(true);
      // What a folder would get: one line each, that reads back as it was.
      for (const packet of run.packets.splice(0)) {
        const line = JSON.stringify(packet);
        expect(line).not.toContain("\n");
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(structuredClone(packet))));
      }
    }),
    { numRuns: Math.ceil(values / 5) },
  );
}
