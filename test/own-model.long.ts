/** The example that grows a model from a file, as a project of one's own would run it. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const run = promisify(execFile);

test("PaddleOCR's classifier learns to read digits, and a seed of it is kept", async () => {
  const cwd = await mkdtemp(join(tmpdir(), "kasmina-own-model-"));
  try {
    const built = join(root, "build", "own-model-test");
    const examples = join(root, "examples");
    const options =
      "--ignoreConfig --module nodenext --target es2023 --lib esnext,dom --strict --skipLibCheck --types node";
    const example = join(examples, "own-model", "main.ts");
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    await run(
      process.execPath,
      [tsc, ...options.split(" "), "--rootDir", examples, "--outDir", built, example],
      {
        cwd: root,
      },
    );
    const { stdout } = await run(process.execPath, [join(built, "own-model", "main.js")], { cwd });
    expect(Number(stdout.split(/\s/)[0])).toBeGreaterThan(0.65); // a head alone reads half of them
    expect(stdout).toContain("FOSSILIZED");
    expect((await readFile(join(cwd, "digits.onnx"))).length).toBeGreaterThan(500_000);
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
});
