// Adds up vitest's closing lines of the given logs: names what failed, then prints `N passed, N failed, N skipped`.
import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of process.argv.slice(2)) {
  const text = stripVTControlCharacters(readFileSync(file, "utf8"));
  for (const [, line] of text.matchAll(/^\s*Tests\s+(.*)$/gm)) {
    passed += Number(/(\d+) passed/.exec(line)?.[1] ?? 0);
    failed += Number(/(\d+) failed/.exec(line)?.[1] ?? 0);
    skipped += Number(/(\d+) skipped/.exec(line)?.[1] ?? 0);
  }
  for (const [, name] of text.matchAll(/^ FAIL +(.*)$/gm)) console.log(`failed: ${name}`);
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = passed > 0 && failed === 0 ? 0 : 1;
