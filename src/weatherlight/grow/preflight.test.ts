import { expect, test } from "vitest";
import { systemClock } from "../../base/index.js";
import { CommandSigner, KeyRing } from "../../contracts/index.js";
import { parseConfig } from "../../kasmina/index.js";
import { builtinBlueprints, resmlp } from "../../nn/index.js";
import { type PreflightOptions, preflight } from "./preflight.js";

function ring(fill: number): KeyRing {
  return new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(fill) }]);
}

function options(signsWith: KeyRing, candidates: PreflightOptions["candidates"]): PreflightOptions {
  return {
    runId: "preflight",
    host: resmlp({ inputShape: [4], classes: 2 }),
    blueprints: builtinBlueprints,
    config: parseConfig(),
    clock: systemClock,
    keys: ring(1),
    signer: new CommandSigner({ keys: signsWith, clock: systemClock }),
    candidates,
  };
}

test("a run that knows its policy's hand begins, whatever the policy would grow", () => {
  expect(() => preflight(options(ring(1), [{ id: "mlp-residual", parameters: {} }]))).not.toThrow();
  expect(() => preflight(options(ring(1), [{ id: "conv-residual", parameters: {} }]))).not.toThrow();
  expect(() => preflight(options(ring(1), []))).not.toThrow();
});

test("a run that would refuse its policy's commands fails before its first step, and says why", () => {
  const mistaken = options(ring(2), [{ id: "mlp-residual", parameters: {} }]);
  expect(() => preflight(mistaken)).toThrow(/would refuse its own policy's commands: invalid_signature/);
});
