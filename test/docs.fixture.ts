/** The code in a page of the documentation runs, and prints what it says it prints. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

export const ROOT = new URL("..", import.meta.url).pathname;
/** Inside the package, so that `kasmina/data` means this one. */
const folder = join(ROOT, "build", "docs");

export interface Example {
  /** Of the page. */
  readonly name: string;
  /** Its place among the page's examples, from 0. */
  readonly i: number;
  readonly code: string;
}

export function examplesIn(name: string): Example[] {
  const text = readFileSync(join(ROOT, name), "utf8");
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match, i) => ({ name, i, code: match[1] ?? "" }));
}

export async function expectToRun({ name, i, code }: Example): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name.replace(/\W/g, "-")}-${i}.mjs`);
  writeFileSync(file, code);
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder });
  const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1] ?? "");
  for (const line of expected) expect(stdout.split("\n")).toContain(line);
}
