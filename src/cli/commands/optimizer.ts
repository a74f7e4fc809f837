/** `kasmina optimizer`: changes learning rate, momentum or weight decay of a running trainer. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import type { Io } from "../terminal/io.js";
import { addOperatorOptions, type OperatorFlags, operate } from "./operate.js";

interface OptimizerFlags extends OperatorFlags {
  readonly seed?: string;
  readonly lr?: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
}

export function addOptimizer(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(
    command
      .option("--seed <id>", "a seed's parameters (default: the host's)")
      .option("--lr <rate>", "learning rate", toNumber)
      .option("--momentum <value>", "momentum", toNumber)
      .option("--weight-decay <value>", "weight decay", toNumber),
  ).action(async ({ seed, lr, momentum, weightDecay, ...flags }: OptimizerFlags) => {
    if (lr === undefined && momentum === undefined && weightDecay === undefined)
      throw new KasminaError("invalid_argument", "name what to change: --lr, --momentum or --weight-decay");
    const order = {
      kind: "OPTIMIZER" as const,
      ...(lr !== undefined && { learningRate: lr }),
      ...(momentum !== undefined && { momentum }),
      ...(weightDecay !== undefined && { weightDecay }),
    };
    done(await operate({ order, ...(seed !== undefined && { seedId: seed }) }, flags, io));
  });
}

function toNumber(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isNaN(value))
    throw new KasminaError("invalid_argument", `${JSON.stringify(text)} is not a number`);
  return value;
}
