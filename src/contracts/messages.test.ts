/** Every message that goes over a bus comes out as it went in, and nothing else comes out. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STAGES } from "./names.js";
import type { SystemState } from "./ports.js";
import { decodeState, encodeState } from "./state-message.js";
import type { TelemetryPacket } from "./telemetry.js";
import { EVENT_NAMES, METRIC_NAMES } from "./telemetry.js";
import {
  decodeOutcome,
  decodeTelemetry,
  encodeOutcome,
  encodeTelemetry,
  type RunOutcome,
} from "./telemetry-message.js";

const id = fc.string({ minLength: 1, maxLength: 20 });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const small = fc.nat({ max: 1_000_000 });
const figure = fc.double();
const estimate = fc.record({ value: figure, stdErr: figure });
const level = fc.constantFrom("INFO" as const, "WARNING" as const, "ERROR" as const, "CRITICAL" as const);
const atMs = fc.nat({ max: 4_000_000_000_000 });

const states: fc.Arbitrary<SystemState> = fc.record(
  {
    trainingRunId: id,
    step: count,
    epoch: small,
    epochs: small,
    trainLoss: figure,
    heldOutLoss: estimate,
    heldOutAccuracy: figure,
    heldOutR2: figure,
    heldOutMicroF1: figure,
    seeds: fc.array(
      fc.record(
        {
          id,
          slotId: id,
          blueprintId: id,
          stage: fc.constantFrom(...STAGES),
          pausedFrom: fc.constantFrom("TRAINING" as const, "BLENDING" as const),
          alpha: figure,
          rampDone: fc.boolean(),
          pending: fc.record({ change: id, effectiveStep: count }),
          shadowGain: estimate,
          contribution: estimate,
          parameters: count,
        },
        { requiredKeys: ["id", "slotId", "blueprintId", "stage", "alpha", "rampDone", "parameters"] },
      ),
      { maxLength: 4 },
    ),
    slots: fc.array(
      fc.record(
        {
          id,
          shape: fc.array(small, { maxLength: 4 }),
          depth: small,
          seedIds: fc.array(id),
          closedUntilStep: count,
        },
        { requiredKeys: ["id", "shape", "depth", "seedIds"] },
      ),
      { maxLength: 4 },
    ),
    closedBlueprints: fc.dictionary(fc.stringMatching(/^[a-z-]{1,12}$/), count),
    openBreakers: fc.array(id),
    paramsHost: count,
    paramsTotal: count,
    flopsPerStep: figure,
    flopsTotal: figure,
  },
  {
    requiredKeys: [
      ...([
        "trainingRunId",
        "step",
        "epoch",
        "epochs",
        "trainLoss",
        "seeds",
        "slots",
        "closedBlueprints",
      ] as const),
      ...(["paramsHost", "paramsTotal", "flopsPerStep", "flopsTotal"] as const),
    ],
  },
);

const packets: fc.Arbitrary<TelemetryPacket> = fc.record(
  {
    trainingRunId: id,
    source: id,
    seedId: id,
    step: count,
    epoch: small,
    atMs,
    level,
    priority: fc.constantFrom("LOW" as const, "NORMAL" as const, "HIGH" as const, "CRITICAL" as const),
    route: fc.constantFrom("normal" as const, "emergency" as const),
    events: fc.array(
      fc.record({
        name: fc.constantFrom(...EVENT_NAMES),
        level,
        atMs,
        attributes: fc.dictionary(
          fc.stringMatching(/^[a-z_]{1,12}$/),
          fc.oneof(fc.string(), figure, fc.boolean()),
        ),
      }),
      { maxLength: 4 },
    ),
    metrics: fc.array(fc.record({ name: fc.constantFrom(...METRIC_NAMES), value: figure }), { maxLength: 4 }),
    retired: fc.boolean(),
  },
  {
    requiredKeys: [
      ...(["trainingRunId", "source", "step", "epoch", "atMs", "level", "priority", "route"] as const),
      ...(["events", "metrics", "retired"] as const),
    ],
  },
);

const outcomes: fc.Arbitrary<RunOutcome> = fc.record(
  {
    trainingRunId: id,
    status: fc.constantFrom("applied" as const, "refused" as const, "duplicate" as const, "failed" as const),
    reason: fc.string(),
    commandId: id,
    effectiveStep: count,
    seedId: id,
    message: id,
  },
  { requiredKeys: ["trainingRunId", "status", "reason"] },
);

describe("a message", () => {
  test("of a state comes out as it went in", () => {
    fc.assert(
      fc.property(states, (state) => {
        expect(plain(decodeState(encodeState(state)))).toEqual(plain(state));
      }),
    );
  });
  test("of telemetry comes out as it went in", () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(plain(decodeTelemetry(encodeTelemetry(packet)))).toEqual(plain(packet));
      }),
    );
  });
  test("of an outcome comes out as it went in", () => {
    fc.assert(
      fc.property(outcomes, (outcome) => {
        expect(plain(decodeOutcome(encodeOutcome(outcome)))).toEqual(plain(outcome));
      }),
    );
  });
  test("that is none is refused, whatever its bytes", () => {
    const readers = [decodeState, decodeTelemetry, decodeOutcome];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 2 }), (bytes, which) => {
        try {
          readers[which]?.(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "corrupt" });
        }
      }),
    );
    for (const reader of readers) expect(() => reader(Uint8Array.of(255, 1))).toThrow(/malformed/);
    expect(() => decodeState(new Uint8Array())).toThrow(/malformed/);
  });
});

/** −0 is 0, and objects without a prototype are objects. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, part: unknown) => (typeof part === "number" ? String(part + 0) : part)),
  );
}
