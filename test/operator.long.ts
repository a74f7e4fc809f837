/** An operator in a second terminal: two real processes, one training, the other commanding it (issue: signed commands). */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const CLI = new URL("../dist/cli/main.js", import.meta.url).pathname;
const run = promisify(execFile);

let folder = "";
beforeAll(() => {
  folder = join(mkdtempSync(join(tmpdir(), "kasmina-operator-")), "run");
});
afterAll(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

interface Answer {
  readonly code: number;
  readonly line: Record<string, unknown>;
}

async function kasmina(...args: string[]): Promise<Answer> {
  try {
    const { stdout } = await run(process.execPath, [CLI, ...args, "--run-dir", folder, "--json"]);
    return { code: 0, line: JSON.parse(stdout) };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, line: stdout ? JSON.parse(stdout) : {} };
  }
}

/** The first status of the run that is as wanted. */
async function statusWhen(isWanted: (status: Answer) => boolean): Promise<Answer> {
  for (;;) {
    const status = await kasmina("status");
    if (isWanted(status)) return status;
  }
}

test("culls a live seed while the run goes on, and sees the outcome", async () => {
  // It goes on until the operator halts it, however slow they are.
  const endless = ["--epochs", "100000", "--policy", "epoch:99999"];
  const args = ["grow", "--data", "spirals", ...endless, "--run-dir", folder, "--json"];
  const trainer = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  trainer.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const ended = new Promise<number | null>((resolve) => trainer.on("exit", resolve));

  const status = await statusWhen(({ code }) => code === 0);
  expect(status.line).toMatchObject({ type: "status", seeds: [], emergency: null });

  const germination = await kasmina(
    "seed",
    "germinate",
    "op1",
    "--slot",
    "block1",
    "--blueprint",
    "mlp-residual",
  );
  expect(germination).toMatchObject({ code: 0, line: { status: "applied", seed_id: "op1" } });
  const cull = await kasmina("seed", "cull", "op1");
  expect(cull).toMatchObject({ code: 0, line: { type: "outcome", status: "applied", seed_id: "op1" } });
  const again = await kasmina("seed", "cull", "nobody");
  expect(again).toMatchObject({ code: 1, line: { status: "refused", reason: "unknown_seed" } });
  const optimizer = await kasmina("optimizer", "--lr", "0.001");
  expect(optimizer.line).toMatchObject({ status: "applied", effective_step: expect.any(Number) });
  await statusWhen(({ line }) => Number(line.step) > Number(cull.line.effective_step));
  expect(await kasmina("emergency", "halt")).toMatchObject({ code: 0, line: { status: "applied" } });

  expect(await ended).toBe(3); // halted
  expect(JSON.parse(output.trim().split("\n").at(-1) ?? "{}")).toMatchObject({ type: "summary" });
  const events = readFileSync(join(folder, "events.ndjson"), "utf8");
  expect(events).toMatch(/"name":"seed_stage".*"seed_id":"op1".*"to":"CULLED"/);
  await expect(kasmina("status")).resolves.toMatchObject({ code: 2 });
});
