/** What the runbook (docs/operations.md) says about an event. */
import { fileURLToPath } from "node:url";
import { readRegularIfThere } from "../../base/disk/index.node.js";

const FILE = fileURLToPath(new URL("../../../docs/operations.md", import.meta.url));
const MAX_BYTES = 1024 * 1024;

/** Advice by the name of an event, as text; undefined where the runbook has none. */
export type Runbook = (event: string) => string | undefined;

export async function readRunbook(): Promise<Runbook> {
  const text = new TextDecoder().decode(await readRegularIfThere(FILE, { maxBytes: MAX_BYTES }));
  return (event) => adviceIn(text, event);
}

/** The row of the table of events that names it; else the first section of the runbook that does. */
export function adviceIn(text: string, event: string): string | undefined {
  const name = `\`${event}\``;
  const row = text.split("\n").find((line) => line.startsWith("| `") && line.split("|")[1]?.includes(name));
  if (row) return plain(row.split("|").slice(2, 4).join(". "));
  const section = text.split(/^### /m).find((part, i) => i > 0 && part.includes(name));
  return section && plain(section.slice(section.indexOf("\n")).trim().split("\n\n")[0] ?? "");
}

/** Markdown without its marks. */
function plain(markdown: string): string {
  return markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[`*]/g, "")
    .replace(/\s+/g, " ")
    .replaceAll(" .", ".")
    .trim();
}
