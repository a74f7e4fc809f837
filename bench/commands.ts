/**
 * How many commands a second Kasmina verifies, dispatches, journals and answers, against raw `node:crypto`
 * HMAC-SHA-256 over the same bytes in the same process.
 *
 * The commands are OPTIMIZER ones for the host: signed, each with its own nonce and id, handled in batches of 64 with
 * one commit of the journal, one step boundary and one telemetry flush a batch, as a trainer drains them. Every round has commands of its own (a command is
 * accepted once), and rounds of the two kinds alternate, so that both see the same machine.
 */
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "kasmina/base";
import {
  COMMAND_CONTEXT,
  type CommandDelivery,
  CommandSigner,
  decodeEnvelope,
  KeyRing,
  signingInput,
} from "kasmina/contracts";
import { nodeMac } from "kasmina/contracts/node";
import { type CommandJournal, Kasmina, MemoryJournal } from "kasmina/kasmina";
import { openJournal } from "kasmina/kasmina/node";
import { builtinBlueprints } from "kasmina/nn";
import { type Figures, type Measurement, median, seconds } from "./measurement.js";

const RUN_ID = "bench";
const ROUNDS = 7;
const COMMANDS = 8_192;
const BATCH = 64;
const SECRET = new Uint8Array(32).fill(1);

export const commands: Measurement = {
  name: "commands",
  summary: "verified and dispatched commands per second",
  async run() {
    const raw: number[] = [];
    const inMemory: number[] = [];
    const durable: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const { clock, deliveries, inputs } = signCommands(round);
      const figures = [
        hmacPerSecond(inputs),
        await handledPerSecond(clock, deliveries),
        await durablePerSecond(clock, deliveries),
      ];
      // The first round warms the machine up.
      if (round === 0) continue;
      for (const [at, list] of [raw, inMemory, durable].entries()) list.push(figures[at] ?? 0);
    }
    return report(median(raw), median(inMemory), median(durable));
  },
};

function report(raw: number, verified: number, durable: number): Figures {
  return {
    verified_per_s: Math.round(verified),
    raw_hmac_per_s: Math.round(raw),
    ratio: Number((verified / raw).toFixed(3)),
    durable_per_s: Math.round(durable),
    commands: COMMANDS,
    batch: BATCH,
    rounds: ROUNDS,
  };
}

function signCommands(round: number) {
  const clock = new ManualClock();
  const signer = new CommandSigner({ keys: new KeyRing([{ id: "bench", secret: SECRET }], nodeMac), clock });
  const envelopes = Array.from({ length: COMMANDS }, (_, at) => {
    clock.advance(1);
    return signer.sign({
      commandId: `round-${round}-${at}`,
      trainingRunId: RUN_ID,
      issuedBy: "bench",
      order: { kind: "OPTIMIZER", learningRate: 0.01 + at / COMMANDS },
    });
  });
  const deliveries = envelopes.map(
    (envelope, at): CommandDelivery => ({
      envelope,
      busEntry: `${round}-${at}`,
      acknowledge: () => undefined,
    }),
  );
  const inputs = envelopes.map((bytes) => {
    const envelope = decodeEnvelope(bytes);
    if (!envelope) throw new Error("a signed envelope does not decode");
    return signingInput(COMMAND_CONTEXT, envelope.keyId, envelope.payload);
  });
  return { clock, deliveries, inputs };
}

function hmacPerSecond(inputs: readonly Uint8Array[]): number {
  const spent = seconds(() => {
    for (const input of inputs) createHmac("sha256", SECRET).update(input).digest();
  });
  return inputs.length / spent;
}

async function handledPerSecond(
  clock: ManualClock,
  deliveries: readonly CommandDelivery[],
  journal: CommandJournal = new MemoryJournal(),
): Promise<number> {
  const kasmina = new Kasmina({
    trainingRunId: RUN_ID,
    slots: [{ id: "block1", shape: [8], depth: 1 }],
    blueprints: builtinBlueprints,
    clock,
    telemetry: { emit: () => undefined },
    keys: new KeyRing([{ id: "bench", secret: SECRET }], nodeMac),
    journal,
    kernels: { fetch: () => Promise.reject(new Error("no kernel is asked for here")) },
  });
  let applied = 0;
  const startMs = performance.now();
  for (let at = 0, step = 0; at < deliveries.length; at += BATCH, step++) {
    const source = { drain: () => deliveries.slice(at, at + BATCH) };
    for (const outcome of kasmina.receive(source, { step, epoch: 0 }))
      if (outcome.status === "applied") applied++;
    await kasmina.takeEffect(step);
    kasmina.flushTelemetry({ step, epoch: 0 });
  }
  const spent = (performance.now() - startMs) / 1_000;
  kasmina.close();
  if (applied !== deliveries.length)
    throw new Error(`${applied} of ${deliveries.length} commands were applied`);
  return applied / spent;
}

async function durablePerSecond(clock: ManualClock, deliveries: readonly CommandDelivery[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-bench-"));
  const figure = await handledPerSecond(clock, deliveries, openJournal(join(folder, "commands.journal")));
  rmSync(folder, { recursive: true });
  return figure;
}
