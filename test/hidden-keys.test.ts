/** The built program with its keys in the environment. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
/** Loaded before the program: prints what a diagnostic report would hold at its end. */
const reporter = `data:text/javascript,process.on("exit",()=>console.log("REPORT "+JSON.stringify(process.report.getReport().environmentVariables)))`;
const secret = "ab".repeat(32);

test("a run signs with keys of the environment, and no diagnostic report holds them", () => {
  const folder = mkdtempSync(join(tmpdir(), "kasmina-hidden-"));
  try {
    const run = join(folder, "run");
    const args = ["grow", "--data", "spirals", "--engine", "wasm", "--epochs", "1", "--run-dir", run];
    const printed = execFileSync(process.execPath, ["--import", reporter, main, ...args], {
      env: { ...process.env, KASMINA_KEYS: `e1:${secret}`, KASMINA_MARK: "seen" },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(printed).toContain("REPORT {");
    expect(printed).toContain('"KASMINA_MARK":"seen"');
    expect(printed).not.toContain(secret);
    expect(existsSync(join(run, "summary.json"))).toBe(true);
    expect(existsSync(join(run, "control.keys"))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
