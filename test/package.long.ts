/** The packed package in a project of its own: what somebody gets who installs it. Needs the npm registry. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const run = promisify(execFile);

let project: string;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "kasmina-package-"));
  const packed = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", project], {
    cwd: root,
  });
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  await writeFile(join(project, "package.json"), '{"name":"empty","private":true,"type":"module"}\n');
  const install = ["i", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--omit=optional"];
  await run("npm", [...install, join(project, filename)], { cwd: project });
}, 300_000);
afterAll(() => rm(project, { recursive: true, force: true }));

test("npx kasmina grow --data spirals runs to its summary", async () => {
  const args = ["kasmina", "grow", "--data", "spirals", "--engine", "wasm", "--json"];
  const { stdout } = await run("npx", args, { cwd: project });
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.at(-1)).toMatchObject({ type: "summary", data: "spirals", host: "resmlp" });
});

test("a short script type-checks and runs against it", async () => {
  await writeFile(
    join(project, "script.ts"),
    [
      'import { grow, KasminaError, type GrowOptions, type GrowResult } from "kasmina";',
      'import { makeSpirals, ShuffledBatches } from "kasmina/data";',
      'import { createHost, slotsOf } from "kasmina/nn";',
      "const data = makeSpirals();",
      "const batches = new ShuffledBatches(data, { batch: 10, seed: 1 });",
      'if (batches.at(0).inputs.shape[0] !== 10) throw new KasminaError("illegal_state", "no batch");',
      'const options: GrowOptions = { data: "spirals", engine: "wasm", epochs: 1 };',
      "const run: GrowResult = await grow(options);",
      'console.log(slotsOf(createHost("resmlp", data)).map(({ id }) => id).join(), run.paramsHost);',
    ].join("\n"),
  );
  const compilerOptions = {
    target: "es2023",
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    // As "tsc --init" has it: the types of @jax-js/jax name Float16Array, which es2023 has not.
    skipLibCheck: true,
    types: [],
    lib: ["es2023", "dom"],
  };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["script.ts"] }));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { stdout } = await run(process.execPath, [tsc, "-p", project], { cwd: project }).catch(
    (error: unknown) => {
      throw new Error((error as { stdout: string }).stdout);
    },
  );
  expect(stdout).toBe("");
  const ran = await run(process.execPath, ["script.js"], { cwd: project });
  expect(ran.stdout).toContain("block1");
});

test("it holds no tests and no sources", async () => {
  const listing = await run("find", [join(project, "node_modules", "kasmina"), "-name", "*.ts"], {});
  const files = listing.stdout.trim().split("\n");
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((file) => !file.endsWith(".d.ts") || /\.(test|long|conformance)\./.test(file))).toEqual(
    [],
  );
  expect(await readFile(join(project, "node_modules", "kasmina", "LICENSE"), "utf8")).toContain(
    "Apache License",
  );
});
