/**
 * How a host in an ONNX file is named: `onnx:<file>`, and behind it, as in a URL, what is made of it. The one text is all that
 * a folder, a resumed run and the process that traces need.
 */
import { KasminaError } from "../../base/index.js";
import { HEAD_CHOICES, type OnnxHostOptions, TRAIN_CHOICES } from "../../nn/index.js";

const PREFIX = "onnx:";

/** What can be written into a reference. */
export type ReferencedOptions = Pick<OnnxHostOptions, "head" | "train" | "slots">;

export interface OnnxReference {
  /** Path, as it was given. */
  readonly file: string;
  readonly options: ReferencedOptions;
}

export function isOnnxReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** @throws KasminaError `invalid_argument` where the file is missing, or an option is none */
export function parseOnnxReference(text: string): OnnxReference {
  const mark = text.lastIndexOf("?");
  const file = text.slice(PREFIX.length, mark < 0 ? undefined : mark);
  if (file === "") throw new KasminaError("invalid_argument", `${text} must be onnx:<file>`);
  const query = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
  const unknown = [...query.keys()].find((key) => !["head", "train", "slots"].includes(key));
  if (unknown !== undefined) {
    throw new KasminaError(
      "invalid_argument",
      `${text}: unknown option ${unknown}; known are head, train, slots`,
    );
  }
  const head = oneOf(query.get("head"), "head", HEAD_CHOICES);
  const train = oneOf(query.get("train"), "train", TRAIN_CHOICES);
  const slots = query.get("slots")?.split(",");
  return { file, options: { ...(head && { head }), ...(train && { train }), ...(slots && { slots }) } };
}

function oneOf<T extends string>(value: string | null, name: string, choices: readonly T[]): T | undefined {
  if (value === null) return undefined;
  const choice = choices.find((one) => one === value);
  if (choice) return choice;
  throw new KasminaError("invalid_argument", `${name} must be one of ${choices.join(", ")}, got "${value}"`);
}

export function onnxReference({ file, options }: OnnxReference): string {
  const { head, train, slots } = options;
  const query = new URLSearchParams({
    ...(head && { head }),
    ...(train && { train }),
    ...(slots && { slots: slots.join(",") }),
  }).toString();
  return `${PREFIX}${file}${query === "" ? "" : `?${query}`}`;
}
