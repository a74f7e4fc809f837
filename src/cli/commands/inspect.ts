/** `kasmina inspect`: what a run folder holds, and whether its checkpoint is whole; or what an ONNX file is as a host. */
import type { Command } from "commander";
import { KasminaError, printable } from "../../base/index.js";
import {
  type InspectedBlock,
  type InspectedCheckpoint,
  type InspectedSeed,
  type Inspection,
  inspectRun,
} from "../../weatherlight/folder/inspect-run.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say, wantsColor } from "../terminal/io.js";
import { formatTable, type Paint, painter, stageStyle } from "../terminal/text.js";
import { inspectHost } from "./inspect-host.js";

interface InspectFlags {
  readonly json?: boolean;
  readonly host?: string;
  readonly inputShape?: string;
}

export function addInspect(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("[run-dir]", "folder of a run")
    .option(
      "--host <onnx:file>",
      "an ONNX file: its inputs, weights and slots, and what of it cannot be read",
    )
    .option("--input-shape <sizes>", "sizes that the file leaves free, of one example: 3,48,192")
    .option("--json", "print one JSON object")
    .action(async (path: string | undefined, flags: InspectFlags) => {
      if (flags.host !== undefined) return done(inspectHost(flags.host, flags, io));
      if (path === undefined)
        throw new KasminaError("invalid_argument", "name the folder of a run, or --host onnx:<file>");
      const inspection = await inspectRun(path);
      io.stdout.write(
        flags.json
          ? `${JSON.stringify(inspection)}\n`
          : formatInspection(inspection, painter(wantsColor(io, io.stdout))),
      );
      const problem = problemOf(inspection.checkpoint);
      if (problem !== undefined) say(io, problem);
      done(problem === undefined ? EXIT.done : EXIT.failed);
    });
}

/** Why nobody can use the network, in one line. */
function problemOf(checkpoint: InspectedCheckpoint): string | undefined {
  if (!checkpoint.valid) return checkpoint.problem;
  return checkpoint.wrecked === null ? undefined : `the network is wrecked: ${checkpoint.wrecked}`;
}

/** Ends with a newline. */
function formatInspection(inspection: Inspection, paint: Paint): string {
  const sections = [facts(inspection, paint)];
  if (inspection.checkpoint.valid) {
    sections.push(blockTable(inspection.blocks));
    sections.push(inspection.seeds.length > 0 ? seedTable(inspection.seeds, paint) : ["no seeds"]);
  }
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function facts(inspection: Inspection, paint: Paint): string[] {
  const { checkpoint, data } = inspection;
  const state = checkpoint.valid
    ? `${paint("green", "digest ok")}  sha256 ${checkpoint.sha256}  ${count(checkpoint.bytes)} bytes`
    : paint("red", "damaged or missing");
  const rows = [
    ["run", printable(inspection.run_id ?? "unknown")],
    ["folder", inspection.path],
    ["ended", printable(inspection.ended ?? "no report yet")],
    ["checkpoint", state],
  ];
  if (data) rows.push(["data", `${printable(data.origin)}  sha256 ${data.sha256}`]);
  if (inspection.parent !== null)
    rows.push([
      "goes on from",
      `${printable(inspection.parent_run_id ?? "an ONNX file")}  sha256 ${printable(inspection.parent)}`,
    ]);
  if (checkpoint.valid) {
    rows.push(["at", `step ${inspection.step}, epoch ${inspection.epoch}`]);
    rows.push(["host", inspection.host ?? ""]);
    rows.push([
      "parameters",
      `${count(inspection.params_host)} host, ${count(inspection.params_total)} with seeds`,
    ]);
  }
  return formatTable(rows);
}

function blockTable(blocks: readonly InspectedBlock[]): string[] {
  const rows = blocks.map((block) => [
    printable(block.name),
    `[${block.output_shape.join(", ")}]`,
    block.slot ? printable(block.name) : "–",
    count(block.parameters),
  ]);
  return formatTable([["block", "output", "slot", "parameters"], ...rows], ["left", "left", "left", "right"]);
}

function seedTable(seeds: readonly InspectedSeed[], paint: Paint): string[] {
  const header = ["seed", "blueprint", "slot", "stage", "alpha", "parameters"];
  const rows = seeds.map((seed) => [
    printable(seed.id),
    printable(seed.blueprint),
    printable(seed.slot),
    paint(stageStyle(seed.stage), seed.stage),
    seed.alpha.toFixed(2),
    count(seed.parameters),
  ]);
  return formatTable([header, ...rows], ["left", "left", "left", "left", "right", "right"]);
}
