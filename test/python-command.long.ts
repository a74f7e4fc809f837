/** The Python program of docs/commands.md commands a real run over Redis, and cannot where its signature is another stream's. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { findTool } from "../src/base/tools.fixture.js";
import { addKey } from "../src/contracts/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";
import { SMALL } from "./cli.fixture.js";

const root = new URL("..", import.meta.url).pathname;
const python = findTool("python", ["python3"]);
const [, program = ""] =
  /^```python\n(.*?)^```$/ms.exec(readFileSync(`${root}docs/commands.md`, "utf8")) ?? [];

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function start(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const child: ChildProcess = spawn(command, args, { env: { ...process.env, ...env } });
  ends.push(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (data) => {
      output += data;
    });
  return { exit: once(child, "close").then(([code]) => code as number), output: () => output };
}

test.skipIf(!redisServer || !python)(
  "a Python program of the standard library alone halts a run",
  async () => {
    const redis = await RedisServer.start();
    const folder = mkdtempSync(join(tmpdir(), "kasmina-python-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    ends.push(() => redis.stop());
    const keyFile = join(folder, "keys");
    addKey(keyFile, Date.now());
    const env = { KASMINA_KEY_FILE: keyFile, KASMINA_REDIS: redis.url };
    const runDir = join(folder, "run");
    const options = ["--epochs", "10000", "--no-growth", "--json", "--run-dir", runDir];
    const run = start(process.execPath, [`${root}bin/kasmina.mjs`, ...SMALL, ...options], env);
    await expect.poll(() => run.output()).toContain('"type":"step"');
    const { run_id } = JSON.parse(readFileSync(join(runDir, "run.json"), "utf8"));
    const command = async (text: string, level: string) => {
      const child = start(python ?? "", ["-c", text, run_id, level], env);
      return [await child.exit, child.output()];
    };

    expect(program).toContain('signature("kasmina.command.v1", command)');
    const ofStates = program.replace("kasmina.command.v1", "kasmina.state.v1");
    expect(await command(ofStates, "3")).toEqual([1, "refused invalid_signature\n"]);
    expect(await command(program, "1")).toEqual([0, "applied \n"]);
    expect(await command(program, "3")).toEqual([0, "applied \n"]);
    expect(await run.exit, run.output()).toBe(3);
  },
);
