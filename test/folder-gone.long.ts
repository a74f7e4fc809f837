/** A run whose folder is taken away under it ends in order: it says so, its exit code too, and its checkpoint lies beside. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { begin, MAIN, type Run, summaryOf, WASM } from "./endings.fixture.js";
import { kasmina } from "./kasmina.js";
import { ended, tensorsDigest } from "./resume.fixture.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-gone-"));
});
afterAll(() => rm(root, { recursive: true }));

async function whatItSaid({ child }: Run): Promise<{ code: number | string | null; stderr: string }> {
  return ended(child);
}

const EPOCHS = "12";

describe("the run folder", () => {
  test.each([
    // Its files go first: the run may notice in between.
    ["deleted", "gone: deleted or moved", (path: string) => rm(path, { recursive: true })],
    ["moved", "is gone: deleted or moved", (path: string) => rename(path, `${path}.elsewhere`)],
    [
      "replaced",
      "there is another folder of that name",
      async (path: string) => {
        await rename(path, `${path}.elsewhere`);
        await mkdir(path);
      },
    ],
    [
      "emptied",
      "files of run folder",
      async (path: string) => void execFileSync("sh", ["-c", `rm -rf ${path}/*`]),
    ],
    ["without its losses", "files of run folder", (path: string) => rm(join(path, "losses.f32"))],
  ])("%s in mid-run: the run ends, and goes on from beside it", async (name, message, take) => {
    const folder = name.replaceAll(" ", "-");
    const run = await begin(root, folder, ["--epochs", EPOCHS, "--quiet"], "pipe");
    const said = whatItSaid(run);
    await take(join(root, folder));
    const { code, stderr } = await said;
    expect(stderr).toContain(message);
    expect(stderr).toMatch(
      /checkpoint of where training ended is beside it; to go on: kasmina grow --resume \S+ --adopt/,
    );
    expect(code).toBe(1);
    // Half a folder would look like a run.
    expect(existsSync(join(root, folder, "checkpoint"))).toBe(folder.startsWith("without"));

    const rescued = /--resume (\S+) --adopt/.exec(stderr)?.[1] ?? "";
    expect(rescued).toBe(join(root, `${folder}.rescued`));
    const resumed = await kasmina(["grow", "--resume", rescued, "--adopt", "--quiet"], root);
    expect(resumed).toMatchObject({ code: 0 });
    expect(await summaryOf(root, `${folder}.rescued`)).toMatchObject({ ended: "finished" });

    const whole = `${folder}.whole`;
    await (await begin(root, whole, ["--epochs", EPOCHS])).ended;
    expect(tensorsDigest(rescued)).toBe(tensorsDigest(join(root, whole)));
  });

  test("a place beside it that is taken already is left as it is", async () => {
    const run = await begin(root, "deleted", ["--epochs", EPOCHS, "--quiet"], "pipe");
    const said = whatItSaid(run);
    await rm(join(root, "deleted"), { recursive: true });
    expect((await said).stderr).toContain(`--resume ${join(root, "deleted.rescued-2")} --adopt`);
  });

  test("a file that can grow no more, there and beside it: the run says both", async () => {
    // 4 KiB a file: as on a full disk, no checkpoint fits anywhere.
    const script = `ulimit -f 4; trap '' XFSZ; exec "$0" "$@"`;
    const args = [MAIN, "grow", ...WASM, "--quiet", "--run-dir", "full"];
    const child = spawn("bash", ["-c", script, process.execPath, ...args], {
      cwd: root,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const { code, stderr } = await ended(child);
    expect(stderr).toMatch(/cannot write a checkpoint to .*full.checkpoint: .*EFBIG/);
    expect(stderr).toMatch(/no checkpoint could be written beside it either: .*EFBIG/);
    expect(code).toBe(1);
    expect(existsSync(join(root, "full.rescued"))).toBe(false);
    expect(existsSync(join(root, "full", "summary.json"))).toBe(false);
    expect(readFileSync(join(root, "full", "run.json"), "utf8")).toContain("run_id");
  });
});
