/** The packed package in a project of its own: what somebody gets who installs it. Needs the npm registry. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
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

const SCRIPT = [
  'import { grow, KasminaError, type GrowOptions, type GrowResult } from "kasmina";',
  'import { makeSpirals, ShuffledBatches } from "kasmina/data";',
  'import { createHost, slotsOf } from "kasmina/nn";',
  "const data = makeSpirals();",
  "const batches = new ShuffledBatches(data, { batch: 10, seed: 1 });",
  'if (batches.at(0).inputs.shape[0] !== 10) throw new KasminaError("illegal_state", "no batch");',
  'const options: GrowOptions = { data: "spirals", engine: "wasm", epochs: 1 };',
  "const run: GrowResult = await grow(options);",
  'console.log(slotsOf(createHost("resmlp", data)).map(({ id }) => id).join(), run.paramsHost);',
].join("\n");

/** Compiles with every check, also of the libraries' own types. */
async function compiled(file: string, compilerOptions: object): Promise<string> {
  const strict = { target: "es2023", strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
  const config = { compilerOptions: { ...strict, types: [], ...compilerOptions }, files: [file] };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  return run(process.execPath, [tsc, "-p", project], { cwd: project }).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

test("a short script type-checks and runs against it", async () => {
  await writeFile(join(project, "script.ts"), SCRIPT);
  expect(await compiled("script.ts", { module: "nodenext", lib: ["es2023", "dom"] })).toBe("");
  const ran = await run(process.execPath, ["script.js"], { cwd: project });
  expect(ran.stdout).toContain("block1");
});

test.each([
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
])("every entry type-checks without skipLibCheck (module %s, resolution %s)", async (module, moduleResolution) => {
  const about = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { exports: object };
  const entries = Object.keys(about.exports).map((path) => path.replace(/^\./, "kasmina"));
  const lines = entries.map((entry, at) => `import * as e${at} from "${entry}"; void e${at};`);
  await writeFile(join(project, "entries.ts"), lines.join("\n"));
  const nodeTypes = { types: ["node"], typeRoots: [join(root, "node_modules", "@types")] };
  const libraries = [
    { lib: ["es2022", "dom"] },
    { lib: ["esnext", "dom"] },
    { lib: ["es2023"], ...nodeTypes },
  ];
  for (const library of libraries)
    expect(await compiled("entries.ts", { module, moduleResolution, noEmit: true, ...library })).toBe("");
});

test("links of its pages lead to files that are in it, and no source map to one that is not", async () => {
  const folder = join(project, "node_modules", "kasmina");
  const names = (await readdir(join(folder, "docs"))).filter((name) => name.endsWith(".md"));
  const pages = names.map((name) => join("docs", name));
  expect(pages.length).toBeGreaterThan(10);
  const dead: string[] = [];
  for (const page of ["README.md", "CONTRIBUTING.md", ...pages]) {
    const text = await readFile(join(folder, page), "utf8");
    for (const [, link = ""] of text.matchAll(/\]\(([^)#\s]+)/g))
      if (!/^https?:/.test(link) && !existsSync(join(folder, dirname(page), link)))
        dead.push(`${page}: ${link}`);
  }
  expect(dead).toEqual([]);
  const maps = await run("find", [join(folder, "dist"), "-name", "*.map"]);
  expect(maps.stdout).toBe("");
});

test("it holds no tests and no sources", async () => {
  const listing = await run("find", [join(project, "node_modules", "kasmina", "dist"), "-name", "*.ts"], {});
  const files = listing.stdout.trim().split("\n");
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((file) => !file.endsWith(".d.ts") || /\.(test|long|conformance)\./.test(file))).toEqual(
    [],
  );
  expect(await readFile(join(project, "node_modules", "kasmina", "LICENSE"), "utf8")).toContain(
    "Apache License",
  );
});
