/** How a run ends is said, the same everywhere, and it touches nothing but its folder. Nobody's training ends because nobody listens any more, and a hangup ends it in order; nothing is written into the home folder. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { begin, inspected, MAIN, NATIVE, summaryOf, WASM } from "./endings.fixture.js";
import { kasmina } from "./kasmina.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-endings-"));
});
afterAll(() => rm(root, { recursive: true }));

test("a run that was halted says so, with exit code 3, and can be resumed to its end", async () => {
  const run = await begin(root, "halted", ["--epochs", "20"]);
  await kasmina(["emergency", "halt", "--run-dir", "halted"], root);
  expect(await run.ended).toBe(3);
  expect(await summaryOf(root, "halted")).toMatchObject({ ended: "halted", accuracy: expect.any(Number) });
  expect(await inspected(root, "halted")).toMatchObject({ ended: "halted" });
  expect((await kasmina(["report", "halted"], root)).code).toBe(0);
  expect(await readFile(join(root, "halted", "report.html"), "utf8")).toContain("· halted ·");
  const resumed = await kasmina(["grow", "--resume", "halted", "--quiet"], root);
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).toMatch(/^resumed /);
  expect(await summaryOf(root, "halted")).toMatchObject({ ended: "finished" });
  expect((await kasmina(["replay", "halted"], root)).stdout).toContain("the same to the last bit");
});

test("a run that a hangup interrupts says so, with its own exit code, and can be resumed", async () => {
  const folder = "hangup";
  const run = await begin(root, folder, ["--epochs", "20"]);
  // A terminal that is closed hangs up more than once.
  for (let time = 0; time < 2; time++) run.child.kill("SIGHUP");
  expect(await run.ended).toBe(129);
  expect(await summaryOf(root, folder)).toMatchObject({ ended: "interrupted", accuracy: null });
  expect(await inspected(root, folder)).toMatchObject({ ended: "interrupted" });
  expect((await kasmina(["grow", "--resume", folder, "--quiet"], root)).code).toBe(0);
  expect(await summaryOf(root, folder)).toMatchObject({ ended: "finished" });
});

test("a run under nohup outlives its terminal, and no signal opens a debugger", async () => {
  const run = await begin(root, "nohup", ["--epochs", "8"], "ignore", { _: "/usr/bin/nohup" });
  run.child.kill("SIGHUP");
  run.child.kill("SIGUSR1");
  expect(await run.ended).toBe(0);
  expect(await summaryOf(root, "nohup")).toMatchObject({ ended: "finished" });
});

describe("whoever listens may go", () => {
  test.each([[[]], [["--json"]]])("both readers close their ends: grow %j", async (more) => {
    const folder = `gone${more.join("")}`;
    const { child, ended } = await begin(root, folder, ["--epochs", "4", ...more], "pipe");
    child.stdout?.destroy();
    child.stderr?.destroy();
    expect(await ended).toBe(0);
    expect(await summaryOf(root, folder)).toMatchObject({ ended: "finished" });
  });

  test.runIf(existsSync("/dev/full"))("the disk that messages go to is full", async () => {
    const script = `"$0" "$1" grow ${WASM.join(" ")} --epochs 1 --json --run-dir full >/dev/full 2>/dev/full`;
    const child = spawn("sh", ["-c", script, process.execPath, MAIN], { cwd: root, stdio: "ignore" });
    const [code] = (await once(child, "exit")) as [number];
    // It trained to its end; but what it had to say is lost, and that is no success.
    expect(code).toBe(1);
    expect(await summaryOf(root, "full")).toMatchObject({ ended: "finished" });
  });
});

describe("ONNX Runtime's telemetry", () => {
  test.runIf(existsSync("/usr/bin/strace"))(
    "no socket leaves the machine, nothing is opened for writing elsewhere",
    async () => {
      const trace = join(root, "trace.txt");
      const { CI: _, ...env } = process.env;
      const strace = ["-f", "-qq", "-e", "trace=network,openat", "-o", trace, process.execPath, MAIN];
      const child = spawn("strace", [...strace, ...NATIVE, "--run-dir", "traced"], {
        cwd: root,
        stdio: "ignore",
        env,
      });
      expect((await once(child, "exit"))[0]).toBe(0);
      const lines = (await readFile(trace, "utf8")).split("\n");
      expect(lines.filter((line) => /AF_INET|AF_NETLINK/.test(line))).toEqual([]);
      const written = lines.filter(
        (line) => /openat\(.*O_(WRONLY|RDWR|CREAT)/.test(line) && !/= -1 /.test(line),
      );
      const outside = written.filter(
        (line) => !line.includes(join(root, "traced")) && !/"(\/dev\/|\/proc\/)/.test(line),
      );
      expect(outside).toEqual([]);
      expect(written.length).toBeGreaterThan(3);
    },
  );

  test.each([
    "grow",
    "worker",
  ])("is off where CI is not set: nothing in the home folder (%s)", async (how) => {
    const home = join(root, `home-${how}`);
    const temporary = join(root, `tmp-${how}`);
    await mkdir(home);
    await mkdir(temporary);
    const { CI: _, ...rest } = process.env;
    const runner = `await (await import(${JSON.stringify(new URL("../dist/weatherlight/index.js", import.meta.url).href)})).grow({ data: "spirals", engine: "native", threads: 1, epochs: 1, growth: false })`;
    const args =
      how === "grow" ? [MAIN, ...NATIVE, "--run-dir", "quiet"] : ["--input-type=module", "-e", runner];
    const env = { ...rest, HOME: home, XDG_CACHE_HOME: join(home, ".cache"), TMPDIR: temporary };
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "ignore", "pipe"], env });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    expect((await once(child, "close"))[0]).toBe(0);
    // The tracing process is not started with the program of the one that starts it.
    expect(said).not.toMatch(/ERR_|Error/);
    expect(await readdir(home)).toEqual([]);
    expect(await readdir(temporary)).toEqual([]);
  });
});
