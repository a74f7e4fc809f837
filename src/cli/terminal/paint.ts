/** Colours for terminals. */
import { styleText } from "node:util";
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
