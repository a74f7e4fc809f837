/** How a host or a blueprint in a file of one's own is named: `module:<file>#<export>`. */
import { KasminaError } from "../../base/index.js";

const PREFIX = "module:";

export interface ModuleReference {
  /** Path, as it was given. */
  readonly file: string;
  readonly name: string;
}

export function isModuleReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** @throws KasminaError `invalid_argument` where file or export is missing */
export function parseModuleReference(text: string): ModuleReference {
  const mark = text.lastIndexOf("#");
  const file = text.slice(PREFIX.length, mark < 0 ? undefined : mark);
  const name = mark < 0 ? "" : text.slice(mark + 1);
  if (file === "" || name === "")
    throw new KasminaError("invalid_argument", `${text} must be module:<file>#<export>`);
  return { file, name };
}

export function moduleReference({ file, name }: ModuleReference): string {
  return `${PREFIX}${file}#${name}`;
}
