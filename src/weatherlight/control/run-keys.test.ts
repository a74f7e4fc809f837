import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../base/index.js";
import { addKey, loadKeys, revokeKey } from "../../contracts/index.node.js";
import { followKeyFile } from "./run-keys.js";

let folder = "";
let file = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-run-keys-"));
  file = join(folder, "keys");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("keys that are added or revoked hold within a second, for a run that goes on", () => {
  const clock = new ManualClock();
  const first = addKey(file, 0).id;
  const keys = loadKeys(file, {});
  const problems: string[] = [];
  const end = followKeyFile(keys, file, (problem) => problems.push(problem), clock);

  const second = addKey(file, 1).id;
  clock.advance(1_000);
  expect(new Set(keys.ids)).toEqual(new Set([first, second]));
  expect(keys.activeId).toBe(second);

  revokeKey(file, first, 2);
  clock.advance(1_000);
  expect(keys.ids).toEqual([second]);
  expect(keys.sealingMac(first)).toBeDefined();

  writeFileSync(file, "{", { mode: 0o600 });
  clock.advance(3_000);
  expect(keys.ids).toEqual([second]);
  expect(problems).toEqual([expect.stringMatching(/^the keys stay as they are: .*is not JSON/)]);

  end();
  rmSync(file);
  addKey(file, 3);
  clock.advance(2_000);
  expect(keys.ids).toEqual([second]);
});
