/** Text on terminals: colours and columns. */
import { stripVTControlCharacters, styleText } from "node:util";
import { maxOf } from "../../base/index.js";
import { isRemoved, type Stage, type TelemetryLevel } from "../../contracts/index.js";

type Style = Parameters<typeof styleText>[0];

/** Paints a text, or returns it as it is where colours are not wanted. */
export type Paint = (style: Style, text: string) => string;

export function painter(color: boolean): Paint {
  return color ? (style, text) => styleText(style, text) : (_, text) => text;
}

export function stageStyle(stage: Stage): Style {
  if (stage === "FOSSILIZED") return "green";
  if (isRemoved(stage)) return "red";
  return "cyan";
}

export const LEVEL_STYLE: { readonly [L in TelemetryLevel]: Style } = {
  INFO: "reset",
  WARNING: "yellow",
  ERROR: "red",
  CRITICAL: "red",
};

export type Align = "left" | "right";

/** Lines of cells, each column as wide as its widest cell, two spaces between; no space at the ends of lines. */
export function formatTable(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  const widthOf = (cell: string): number => stripVTControlCharacters(cell).length;
  const columns = Math.max(0, maxOf(rows.map((row) => row.length)));
  const widths = Array.from({ length: columns }, (_, i) => maxOf(rows.map((row) => widthOf(row[i] ?? ""))));
  return rows.map((row) =>
    widths
      .map((width, i) => {
        const cell = row[i] ?? "";
        const space = " ".repeat(width - widthOf(cell));
        return align[i] === "right" ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}
