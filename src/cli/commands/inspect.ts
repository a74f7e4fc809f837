/** `kasmina inspect`: what a run folder holds, and whether its checkpoint is whole. */
import type { Command } from "commander";
import {
  type InspectedBlock,
  type InspectedCheckpoint,
  type InspectedSeed,
  type Inspection,
  inspectRun,
} from "../../weatherlight/folder/inspect-run.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, wantsColor } from "../terminal/io.js";
import { formatTable, type Paint, painter, stageStyle } from "../terminal/text.js";

export function addInspect(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("<run-dir>", "folder of a run")
    .option("--json", "print one JSON object")
    .action(async (path: string, flags: { readonly json?: boolean }) => {
      const inspection = await inspectRun(path);
      io.stdout.write(
        flags.json
          ? `${JSON.stringify(inspection)}\n`
          : formatInspection(inspection, painter(wantsColor(io, io.stdout))),
      );
      const problem = problemOf(inspection.checkpoint);
      if (problem !== undefined) io.stderr.write(`kasmina: ${problem}\n`);
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
    ["run", inspection.run_id ?? "unknown"],
    ["folder", inspection.path],
    ["ended", inspection.ended ? "yes" : "no report yet"],
    ["checkpoint", state],
  ];
  if (data) rows.push(["data", `${data.origin}  sha256 ${data.sha256}`]);
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
    block.name,
    `[${block.output_shape.join(", ")}]`,
    block.slot ? block.name : "–",
    count(block.parameters),
  ]);
  return formatTable([["block", "output", "slot", "parameters"], ...rows], ["left", "left", "left", "right"]);
}

function seedTable(seeds: readonly InspectedSeed[], paint: Paint): string[] {
  const header = ["seed", "blueprint", "slot", "stage", "alpha", "parameters"];
  const rows = seeds.map((seed) => [
    seed.id,
    seed.blueprint,
    seed.slot,
    paint(stageStyle(seed.stage), seed.stage),
    seed.alpha.toFixed(2),
    count(seed.parameters),
  ]);
  return formatTable([header, ...rows], ["left", "left", "left", "left", "right", "right"]);
}
