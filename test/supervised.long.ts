/** Weatherlight of the command line starts services, and starts one again that was killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { addKey } from "../src/contracts/index.node.js";
import { freePort, RedisServer, redisServer } from "../src/oona/redis-server.fixture.js";

const main = new URL("../dist/cli/main.js", import.meta.url).pathname;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

test.skipIf(!redisServer)(
  "a service that is killed is started again; a wrong command is given up, and said",
  async () => {
    const redis = await RedisServer.start();
    ends.push(() => redis.stop());
    const folder = mkdtempSync(join(tmpdir(), "kasmina-supervised-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const keys = join(folder, "keys");
    addKey(keys, Date.now());
    const address = `127.0.0.1:${await freePort()}`;
    const tamiyo = { name: "tamiyo", args: ["serve", "tamiyo", "--health", address, "--json"] };
    const programs = join(folder, "programs.json");
    writeFileSync(programs, JSON.stringify([tamiyo, { name: "wrong", args: ["serve", "nothing"] }]));
    const args = [main, "serve", "weatherlight", "--programs", programs, "--json"];
    const env = { ...process.env, KASMINA_REDIS: redis.url, KASMINA_KEY_FILE: keys };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    ends.push(() => child.kill("SIGKILL"));
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
    });
    const lines = (): Record<string, unknown>[] =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    const healths = () =>
      lines().flatMap(({ type, health, service }) => (type === "ready" ? [{ health, service }] : []));
    const isUp = async (): Promise<boolean> =>
      fetch(`http://${address}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await expect.poll(isUp).toBe(true);
    await expect
      .poll(() => lines().filter(({ type }) => type === "program_given_up"))
      .toMatchObject([{ name: "wrong", reason: "exit code 2", level: "CRITICAL" }]);
    const own = healths().find(({ service }) => service === "weatherlight")?.health;
    expect((await fetch(`${own}/readyz`)).status).toBe(503);

    const children = spawn("pgrep", ["-P", String(child.pid)], { stdio: ["ignore", "pipe", "inherit"] });
    const [pids] = await once(children.stdout, "data");
    for (const pid of String(pids).trim().split("\n")) process.kill(Number(pid), "SIGKILL");
    await expect
      .poll(() => lines().filter(({ type }) => type === "program_ended"))
      .toMatchObject([{ name: "tamiyo", reason: "signal SIGKILL", restartMs: 1_000 }]);
    await expect.poll(() => healths().filter(({ service }) => service === "tamiyo").length).toBe(2);
    expect(await isUp()).toBe(true);

    child.kill("SIGTERM");
    expect((await once(child, "exit"))[0]).toBe(0);
    expect(await isUp()).toBe(false);
  },
);
