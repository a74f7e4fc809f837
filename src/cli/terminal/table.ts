/** Text in columns. */
import { stripVTControlCharacters } from "node:util";

export type Align = "left" | "right";

/** Lines of cells, each column as wide as its widest cell, two spaces between; no space at the ends of lines. */
export function formatTable(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  const widthOf = (cell: string): number => stripVTControlCharacters(cell).length;
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => widthOf(row[i] ?? ""))),
  );
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
