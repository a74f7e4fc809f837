/** `kasmina predict` and `kasmina evaluate`: what a grown network says of data, and how good that is. */
import { type Command, Option } from "commander";
import { writeFileAtomically } from "../../base/disk/index.node.js";
import { KasminaError, printable } from "../../base/index.js";
import { TASK_TRAITS } from "../../contracts/index.js";
import { DATA_FORMS } from "../../data/open.js";
import {
  type DataEvaluation,
  type DataPredictions,
  evaluateOn,
  predictOn,
} from "../../weatherlight/run/use-network.node.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";
import { addModuleOptions, givenModules, type ModuleFlags } from "./modules.js";

const FORMATS = ["csv", "jsonl", "json"] as const;
type Format = (typeof FORMATS)[number];

/** A confusion matrix of more classes is wider than a terminal. */
const SHOWN_CLASSES = 12;
/** Characters of a class's name in it. */
const SHOWN_NAME = 20;

function addNetworkArguments(command: Command): Command {
  return addModuleOptions(command)
    .argument("<network>", "folder of a run, or an ONNX file that kasmina exported")
    .requiredOption("--data <data>", `rows as \`kasmina grow\` takes them: ${DATA_FORMS}`);
}

export function addPredict(command: Command, io: Io, done: (exitCode: number) => void): void {
  addNetworkArguments(command)
    .option("--out <file>", "where to write; default: the standard output")
    .addOption(new Option("--format <format>", "default: by the name of --out, else csv").choices(FORMATS))
    .action(async (path: string, flags: ModuleFlags & { data: string; out?: string; format?: Format }) => {
      const format = flags.format ?? formatOf(flags.out);
      const predictions = await predictOn(path, flags.data, givenModules(flags));
      const { ignored, rows } = predictions;
      if (ignored.length > 0)
        say(io, `columns that the network does not know are ignored: ${ignored.join(", ")}`);
      const text = WRITERS[format](predictions);
      if (flags.out === undefined) io.stdout.write(text);
      else {
        await writeFileAtomically(flags.out, new TextEncoder().encode(text));
        say(io, `wrote ${count(rows.length)} predictions to ${flags.out}`);
      }
      done(EXIT.done);
    });
}

export function addEvaluate(command: Command, io: Io, done: (exitCode: number) => void): void {
  addNetworkArguments(command)
    .option("--json", "print one JSON line")
    .action(
      async (path: string, { data, json, ...modules }: ModuleFlags & { data: string; json?: boolean }) => {
        const evaluation = await evaluateOn(path, data, givenModules(modules));
        const { task, rows, loss, metrics, isOwnTestPart } = evaluation;
        if (isOwnTestPart) say(io, "the run learned from these data: its test part is evaluated");
        const line = `${JSON.stringify({ task, rows, loss, metrics })}\n`;
        io.stdout.write(json ? line : formatEvaluation(evaluation));
        done(EXIT.done);
      },
    );
}

function formatOf(out: string | undefined): Format {
  const ending = out?.slice(out.lastIndexOf(".") + 1);
  const found = FORMATS.find((format) => format === ending);
  if (found || out === undefined) return found ?? "csv";
  throw new KasminaError("invalid_argument", `${out}: name it .csv, .jsonl or .json, or give --format`);
}

const WRITERS: { readonly [F in Format]: (predictions: DataPredictions) => string } = {
  csv: ({ columns, rows }) => {
    const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
    return lines.map((cells) => `${cells.map((cell) => quoted(String(cell))).join(",")}\n`).join("");
  },
  jsonl: ({ rows }) => rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
  json: ({ rows }) => `${JSON.stringify(rows, null, 2)}\n`,
};

/** A cell of a CSV file, as RFC 4180 has it. */
function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) || cell !== cell.trim() ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function formatEvaluation({ task, rows, loss, metrics, classNames }: DataEvaluation): string {
  const { lossUnit } = TASK_TRAITS[task];
  const figures = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  const facts = [
    ["task", task],
    ["rows", count(rows)],
    ["loss", `${loss.toFixed(4)} ${lossUnit}`.trim()],
    ...figures.map(([name, value]) => [name.replaceAll("_", " "), shown(value as number, name)]),
  ];
  const parts = [formatTable(facts), ...partsOf(metrics, classNames)];
  return `${parts.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** What is said of each class, target or label. */
function partsOf(metrics: DataEvaluation["metrics"], classNames: readonly string[]): string[][] {
  if ("confusion" in metrics && metrics.confusion) return confusionOf(metrics.confusion, classNames);
  const each = "targets" in metrics ? metrics.targets : "labels" in metrics ? metrics.labels : undefined;
  if (!each) return [];
  const entries = Object.entries(each);
  const keys = Object.keys(entries[0]?.[1] ?? {});
  const cells = entries.map(([name, figures]) => [
    printable(name).slice(0, SHOWN_NAME),
    ...keys.map((key) => shown(figures[key as never], key)),
  ]);
  const header = ["", ...keys.map((key) => key.replaceAll("_", " "))];
  return [formatTable([header, ...cells], ["left", ...keys.map(() => "right" as const)])];
}

function confusionOf(confusion: readonly (readonly number[])[], classNames: readonly string[]): string[][] {
  if (confusion.length > SHOWN_CLASSES) return [];
  const names = classNames.map((name) => printable(name).slice(0, SHOWN_NAME));
  const cells = [
    ["is \\ said to be", ...names],
    // Of rows that are weighed these are no whole numbers.
    ...confusion.map((row, i) => [names[i] ?? "", ...row.map((rows) => String(Number(rows.toFixed(2))))]),
  ];
  return [formatTable(cells, ["left", ...names.map(() => "right" as const)])];
}

/** Errors are in units of their own, large or small; all else is about 1. */
function shown(value: number | null, name: string): string {
  if (value === null) return "–";
  return name === "rmse" || name === "mae" ? value.toPrecision(5) : value.toFixed(4);
}
