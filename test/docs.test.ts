/** The code in README.md and docs/ runs, and prints what it says it prints. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
/** Inside the package, so that `kasmina/data` means this one. */
const folder = join(root, "build", "docs");

const examples = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith(".md"))
  .flatMap((name) => {
    const text = readFileSync(join(root, name), "utf8");
    return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match, i) => ({ name, i, code: match[1] ?? "" }));
  });

test("there are examples", () => {
  expect(examples.length).toBeGreaterThan(0);
});

test.each(examples)("$name, example $i", async ({ name, i, code }) => {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name.replace(/\W/g, "-")}-${i}.mjs`);
  writeFileSync(file, code);
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder });
  const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1] ?? "");
  for (const line of expected) expect(stdout.split("\n")).toContain(line);
});
