/** `kasmina status`: what a running trainer is doing. */

import type { Command } from "commander";
import { printable } from "../../base/index.js";
import { readStatus } from "../../weatherlight/control/control-client.js";
import type { RunStatus } from "../../weatherlight/index.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";
import { addOperatorOptions, type OperatorFlags, runFolderOf } from "./operate.js";

export function addStatus(command: Command, io: Io, done: (exitCode: number) => void): void {
  addOperatorOptions(command).action(async (flags: OperatorFlags) => {
    const status = await readStatus(await runFolderOf(flags));
    io.stdout.write(flags.json ? `${JSON.stringify(jsonOf(status))}\n` : formatStatus(status));
    done(EXIT.done);
  });
}

/** Ends with a newline. */
function formatStatus(status: RunStatus): string {
  const closed = status.slots.filter((slot) => slot.closedUntilStep !== undefined);
  const facts = [
    ["run", printable(status.trainingRunId)],
    ["at", `step ${status.step}, epoch ${status.epoch + 1} of ${status.epochs}`],
    ["emergency", status.emergency ?? "none"],
    [
      "closed slots",
      closed.map((slot) => `${slot.id} until step ${slot.closedUntilStep}`).join(", ") || "none",
    ],
  ];
  const seeds = status.seeds.map((seed) => [
    printable(seed.id),
    printable(seed.blueprintId),
    printable(seed.slotId),
    seed.pausedFrom === undefined ? seed.stage : `${seed.stage} (paused)`,
    seed.alpha.toFixed(2),
    seed.pending ? `${seed.pending.change} at step ${seed.pending.effectiveStep}` : "",
  ]);
  const header = ["seed", "blueprint", "slot", "stage", "alpha", "pending"];
  const table =
    seeds.length > 0
      ? formatTable([header, ...seeds], ["left", "left", "left", "left", "right", "left"])
      : ["no seeds"];
  return `${[...formatTable(facts), "", ...table].join("\n")}\n`;
}

function jsonOf(status: RunStatus) {
  return {
    type: "status",
    run_id: status.trainingRunId,
    step: status.step,
    epoch: status.epoch,
    epochs: status.epochs,
    emergency: status.emergency,
    seeds: status.seeds.map((seed) => ({
      id: seed.id,
      blueprint: seed.blueprintId,
      slot: seed.slotId,
      stage: seed.stage,
      paused: seed.pausedFrom !== undefined,
      alpha: seed.alpha,
      shadow_gain: seed.shadowGain?.value ?? null,
      contribution: seed.contribution?.value ?? null,
      pending: seed.pending?.change ?? null,
    })),
    slots: status.slots.map((slot) => ({
      id: slot.id,
      seeds: slot.seedIds,
      closed_until_step: slot.closedUntilStep ?? null,
    })),
    closed_blueprints: status.closedBlueprints,
  };
}
