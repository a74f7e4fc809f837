/**
 * How many commands a second Kasmina verifies, dispatches, journals and answers, against raw `node:crypto`
 * HMAC-SHA-256 over the same bytes in the same process.
 *
 * The commands are OPTIMIZER ones for the host: signed, each with its own nonce and id, handled in batches of 64 with
 * one commit of the journal, one step boundary and one telemetry flush a batch, as a trainer drains them. Every round
 * has commands of its own, because a command is accepted once.
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
import { nodeCrypto } from "kasmina/contracts/node";
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
    const rounds: Round[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const signed = signCommands(round);
      const inMemory = await measure(signed, new MemoryJournal());
      const onDisk = await withDurableJournal((journal) => measure(signed, journal));
      // The first round warms the machine up.
      if (round > 0) rounds.push({ ...inMemory, durablePerS: onDisk.verifiedPerS });
    }
    return report(rounds);
  },
};

interface Rates {
  readonly verifiedPerS: number;
  readonly rawPerS: number;
}

interface Round extends Rates {
  readonly durablePerS: number;
}

function report(rounds: readonly Round[]): Figures {
  const middle = (of: (round: Round) => number): number => median(rounds.map(of));
  return {
    verified_per_s: Math.round(middle(({ verifiedPerS }) => verifiedPerS)),
    raw_hmac_per_s: Math.round(middle(({ rawPerS }) => rawPerS)),
    ratio: Number(middle(({ verifiedPerS, rawPerS }) => verifiedPerS / rawPerS).toFixed(3)),
    durable_per_s: Math.round(middle(({ durablePerS }) => durablePerS)),
    commands: COMMANDS,
    batch: BATCH,
    rounds: ROUNDS,
  };
}

function keyRing(): KeyRing {
  return new KeyRing([{ id: "bench", secret: SECRET }], nodeCrypto);
}

interface SignedCommands {
  readonly clock: ManualClock;
  readonly deliveries: readonly CommandDelivery[];
  /** What each command's MAC is over. */
  readonly inputs: readonly Uint8Array[];
}

function signCommands(round: number): SignedCommands {
  const clock = new ManualClock();
  const signer = new CommandSigner({ keys: keyRing(), clock });
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

/** Batch by batch, first the bare MACs, then the commands, so that both see the machine as it is just then. */
async function measure(
  { clock, deliveries, inputs }: SignedCommands,
  journal: CommandJournal,
): Promise<Rates> {
  const kasmina = new Kasmina({
    trainingRunId: RUN_ID,
    slots: [{ id: "block1", shape: [8], depth: 1 }],
    blueprints: builtinBlueprints,
    clock,
    telemetry: { emit: () => undefined },
    keys: keyRing(),
    journal,
    kernels: { fetch: () => Promise.reject(new Error("no kernel is asked for here")) },
  });
  let applied = 0;
  let rawS = 0;
  let verifiedS = 0;
  for (let at = 0, step = 0; at < deliveries.length; at += BATCH, step++) {
    rawS += seconds(() => {
      for (const input of inputs.slice(at, at + BATCH)) createHmac("sha256", SECRET).update(input).digest();
    });
    const startMs = performance.now();
    const source = { drain: () => deliveries.slice(at, at + BATCH) };
    for (const outcome of kasmina.receive(source, { step, epoch: 0 }))
      if (outcome.status === "applied") applied++;
    await kasmina.takeEffect(step);
    kasmina.flushTelemetry({ step, epoch: 0 });
    verifiedS += (performance.now() - startMs) / 1_000;
  }
  kasmina.close();
  if (applied !== deliveries.length)
    throw new Error(`${applied} of ${deliveries.length} commands were applied`);
  return { verifiedPerS: applied / verifiedS, rawPerS: inputs.length / rawS };
}

async function withDurableJournal<T>(work: (journal: CommandJournal) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-bench-"));
  try {
    return await work(
      openJournal(join(folder, "commands.journal"), { keys: keyRing(), trainingRunId: RUN_ID }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
