import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../src/cli/cli.js";
import type { Io, StopSignal } from "../src/cli/terminal/io.js";
import { addKey } from "../src/contracts/index.node.js";
import { RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";

function world(env: Readonly<Record<string, string>>) {
  const written = { stdout: "", stderr: "" };
  const listeners = new Set<(signal: StopSignal) => void>();
  const output = (name: keyof typeof written) => ({
    write(text: string): void {
      written[name] += text;
    },
  });
  const io: Io = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    env,
    onSignal(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    exitNow: () => undefined,
  };
  const signal = (which: StopSignal) => {
    for (const listener of [...listeners]) listener(which);
  };
  return { io, written, signal, listeners };
}

test.each([
  [["serve", "tamiyo"], {}, /--oona .* or KASMINA_REDIS/],
  [["serve", "tamiyo", "--oona", "redis://127.0.0.1:1"], {}, /whoever meets on a bus needs the same keys/],
  [["serve", "elsewhere", "--oona", "redis://127.0.0.1:1"], {}, /there is no service elsewhere/],
  [
    ["serve", "tamiyo", "--oona", "redis://127.0.0.1:1", "--health", "here"],
    {},
    /expected host:port, got here/,
  ],
  [["emergency", "halt", "--all"], {}, /--oona .* or KASMINA_REDIS/],
  [["emergency", "halt", "--all", "--run-dir", "runs/x"], {}, /--run-dir names one run, --all means every/],
  [["emergency", "halt", "--oona", "redis://127.0.0.1:1"], {}, /--oona and --prefix go with --all/],
  [
    ["emergency", "halt", "--all", "--oona", "redis://127.0.0.1:1", "--wait", "0"],
    {},
    /--wait must be above 0/,
  ],
  [["grow", "--policy", "remote"], {}, /--policy remote: name the bus/],
])("kasmina %j is refused in one line", async (args, env, message) => {
  const { io, written } = world(env);
  expect(await runCli(args, io)).toBe(2);
  expect(written.stderr).toMatch(message);
});

test.skipIf(!redisServer)(
  "a service says where its health is, and ends in order when it is told to",
  async () => {
    const redis = await RedisServer.start();
    const folder = mkdtempSync(join(tmpdir(), "kasmina-serve-"));
    try {
      const keys = join(folder, "keys");
      addKey(keys, Date.now());
      const env = { KASMINA_KEY_FILE: keys, KASMINA_REDIS: redis.url };
      for (const service of ["tamiyo", "weatherlight"]) {
        const { io, written, signal, listeners } = world(env);
        const code = runCli(["serve", service, "--json"], io);
        await expect.poll(() => listeners.size).toBe(1);
        const ready = JSON.parse(written.stdout.split("\n").find((line) => line.includes('"ready"')) ?? "{}");
        expect(ready).toMatchObject({ type: "ready", service });
        expect((await fetch(`${ready.health}/readyz`)).status).toBe(200);
        signal("SIGTERM");
        expect(await code).toBe(0);
        await expect(fetch(`${ready.health}/healthz`)).rejects.toThrow();
      }
      const { io, written } = world(env);
      expect(await runCli(["serve", "catalog"], io)).toBe(2);
      expect(written.stderr).toMatch(/name its folder with --catalog/);
    } finally {
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
