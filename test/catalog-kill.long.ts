import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { Catalog } from "../src/catalog/index.js";

const run = promisify(execFile);
const KILLS = 60;

test(`kill -9 at ${KILLS} random moments of steady publication leaves a catalog that verifies`, async () => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-catalog-kill-"));
  const random = new Random(9);
  const script = new URL("publish-forever.mjs", import.meta.url).pathname;
  let published = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [script, root, `${kill}`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data"); // the first artifact is there
    await new Promise((resolve) => setTimeout(resolve, random.below(60)));
    child.kill("SIGKILL");
    await once(child, "exit");
    const checks = await (await Catalog.open(root)).verify();
    expect(checks.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(checks.length).toBeGreaterThanOrEqual(published);
    published = checks.length;
  }
  console.log(JSON.stringify({ kills: KILLS, published }));
  expect(published).toBeGreaterThanOrEqual(KILLS);
  await rm(root, { recursive: true, force: true });
});

test("kill -9 at every operation leaves a catalog that verifies and can be published to", async () => {
  const root = await mkdtemp(join(tmpdir(), "kasmina-catalog-kill-"));
  const script = new URL("publish-and-die.mjs", import.meta.url).pathname;
  const survivors: boolean[] = [];
  for (let dieAt = 1; survivors.at(-1) !== true; dieAt++) {
    survivors.push(
      await run(process.execPath, [script, root, `${dieAt}`]).then(
        () => true,
        (error) => {
          expect(error).toMatchObject({ signal: "SIGKILL" });
          return false;
        },
      ),
    );
    const checks = await (await Catalog.open(root)).verify();
    expect(checks.filter(({ problem }) => problem !== undefined)).toEqual([]);
  }
  expect(survivors.length).toBeGreaterThan(8);
  expect((await (await Catalog.open(root)).list()).entries.length).toBeGreaterThan(0);
  await rm(root, { recursive: true, force: true });
});
