/** What `npm run generate` writes is what is committed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const committed = join(root, "src/contracts/gen/kasmina/v1");

test("the generated contracts are those of proto/", () => {
  const out = mkdtempSync(join(tmpdir(), "kasmina-gen-"));
  try {
    const template = `{"version":"v2","plugins":[{"local":"protoc-gen-es","out":${JSON.stringify(out)},"opt":["target=ts","import_extension=js"]}]}`;
    const path = `${join(root, "node_modules/.bin")}:${process.env.PATH}`;
    execFileSync(join(root, "node_modules/.bin/buf"), ["generate", "--template", template], {
      cwd: root,
      env: { ...process.env, PATH: path },
    });
    const fresh = join(out, "kasmina/v1");
    expect(readdirSync(fresh).sort()).toEqual(readdirSync(committed).sort());
    for (const name of readdirSync(fresh))
      expect(readFileSync(join(fresh, name), "utf8")).toBe(readFileSync(join(committed, name), "utf8"));
  } finally {
    rmSync(out, { recursive: true });
  }
});
