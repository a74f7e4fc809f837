/** The examples as a project of one's own would have them: type-checked against the built package, and run. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const run = promisify(execFile);
/** Inside the package, so that `kasmina` means this one. */
const built = join(root, "build", "examples-test");

/** What the compiler says of the examples; it writes their JavaScript to `built`. */
async function compile(options: Readonly<Record<string, unknown>>): Promise<string> {
  const config = join(root, "build", `examples-${options.moduleResolution}.json`);
  const compilerOptions = {
    target: "es2023",
    lib: ["esnext", "dom"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    types: ["node"],
    rootDir: join(root, "examples"),
    outDir: built,
    ...options,
  };
  await writeFile(
    config,
    JSON.stringify({ compilerOptions, include: ["../examples"], exclude: ["../examples/*.long.ts"] }),
  );
  return run(process.execPath, [tsc, "-p", config], { cwd: root }).then(
    () => "",
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

let cwd = "";
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kasmina-examples-"));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

describe("type-checked, every declaration that they reach included", () => {
  test.each([
    { module: "nodenext", moduleResolution: "nodenext" },
    { module: "esnext", moduleResolution: "bundler" },
  ])("under $moduleResolution", async (options) => {
    expect(await compile({ ...options, skipLibCheck: false })).toBe("");
  });
});

async function printed(name: string): Promise<string> {
  return (await run(process.execPath, [join(built, name, "main.js")], { cwd })).stdout;
}

describe("run", () => {
  test("a host of one's own grows, and keeps what helps", async () => {
    const output = await printed("own-host");
    expect(Number(output.split(/\s/)[0])).toBeGreaterThan(0.9);
    expect(output).toContain("FOSSILIZED");
  });

  test("a blueprint of one's own is what is grafted", async () => {
    expect(await printed("own-blueprint")).toMatch(/'bottleneck [A-Z]+'/);
  });

  test("callbacks hear of epochs and stages, and end the run", async () => {
    const output = await printed("callbacks");
    expect(output).toMatch(/epoch 1: training loss \d/);
    expect(output).toContain("GERMINATED → TRAINING");
    expect(output).toMatch(/(interrupted|finished) \d+\n$/);
  });

  test("a run that stopped goes on to its end", async () => {
    expect(await printed("resume")).toMatch(/^interrupted 108\nfinished 216 0\.\d+\n$/);
  });

  test("predictions and the exported model agree", async () => {
    const output = await printed("export-and-predict");
    const [labels = "", scores = ""] = [...output.matchAll(/Array\(\d\) \[([^\]]*)\]/g)]
      .map(([, values = ""]) => values)
      .filter((_, i) => i !== 1);
    const [a = 0, b = 0, c = 0, d = 0] = scores.split(",").map(Number);
    expect(labels.split(",").map(Number)).toEqual([Number(b > a), Number(d > c)]);
    expect((await readFile(join(cwd, "grown.onnx"))).length).toBeGreaterThan(1000);
  });
});
