/** The lines of a run in words; what is only for programs has none. */
import type { EpochLine, EventLine, GrowthLine, Phase } from "../weatherlight/growth-lines.js";
import { percent } from "./growth-report.js";
import { LEVEL_STYLE, type Paint } from "./paint.js";

export const PHASE_NAMES: { readonly [P in Phase]: string } = { grow: "growing", host_alone: "host alone" };

/** One line of text, or undefined for what is not worth one. */
export function describeLine(line: GrowthLine, paint: Paint): string | undefined {
  switch (line.type) {
    case "epoch":
      return describeEpoch(line);
    case "event":
      return describeEvent(line, paint);
    case "notice":
      return paint("dim", line.text);
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
  return `${name} ${String(line.epoch).padStart(3)}  ${losses}  accuracy ${percent(line.val_accuracy)}`;
}

/** Every stage a seed reaches, and whatever is graver than INFO. */
function describeEvent(line: EventLine, paint: Paint): string | undefined {
  const { type, name, level, ...attributes } = line;
  if (level === "INFO" && name !== "seed_stage") return undefined;
  const facts = Object.entries(attributes)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${value}`);
  return paint(LEVEL_STYLE[level], `${name}  ${facts.join(" ")}`);
}
