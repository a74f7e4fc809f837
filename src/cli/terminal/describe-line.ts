/** The lines of a run in words; what is only for programs has none. */
import { printable } from "../../base/index.js";
import { SCORE_TITLES } from "../../contracts/index.js";
import {
  type EpochLine,
  type EventLine,
  formatScore,
  type GrowthLine,
  type Phase,
  scoreIn,
} from "../../weatherlight/folder/growth-lines.js";
import { LEVEL_STYLE, type Paint } from "./text.js";

export const PHASE_NAMES: { readonly [P in Phase]: string } = { grow: "growing", host_alone: "host alone" };

/** One line of text, or undefined for what is not worth one. */
export function describeLine(line: GrowthLine, paint: Paint): string | undefined {
  switch (line.type) {
    case "epoch":
      return describeEpoch(line);
    case "event":
      return describeEvent(line, paint);
    case "notice":
      return paint("dim", printable(line.text));
    case "step":
    case "summary":
      return undefined;
    default:
      return line satisfies never;
  }
}

function describeEpoch(line: EpochLine): string {
  const name = line.phase === "grow" ? "epoch" : "host alone, epoch";
  const losses = `train loss ${line.train_loss.toFixed(4)}  held-out loss ${line.val_loss.toFixed(4)}`;
  const score = scoreIn(line);
  const told = score ? `  ${SCORE_TITLES[score.name]} ${formatScore(score)}` : "";
  return `${name} ${String(line.epoch).padStart(3)}  ${losses}${told}`;
}

/** What follows a cull is the embargo of its slot, and no news of the seed. */
const AFTER_A_CULL: ReadonlySet<string> = new Set(["EMBARGOED", "RESETTING", "DORMANT"]);

/** Every stage a seed reaches, and whatever is more severe than INFO. */
function describeEvent(line: EventLine, paint: Paint): string | undefined {
  if (line.name === "seed_stage") {
    if (AFTER_A_CULL.has(String(line.to))) return undefined;
    const why = line.cause === undefined || line.cause === "command" ? "" : ` (${line.cause})`;
    return paint("cyan", `  ${printable(`${line.seed_id}: ${line.from} → ${line.to}${why}`)}`);
  }
  if (line.level === "INFO") return undefined;
  return paint(LEVEL_STYLE[line.level], `  ${printable(describeSevere(line))}`);
}

function describeSevere(line: EventLine): string {
  if (line.name === "gate_failure") return `${line.seed_id}: ${line.gate} failed: ${line.reason}`;
  const { type, name, level, ...attributes } = line;
  const facts = Object.entries(attributes)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${value}`);
  return `${name}  ${facts.join(" ")}`;
}
