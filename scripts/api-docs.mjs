// Writes the API reference of the root export into build/api, from its doc comments; with --check it checks them alone. Fails
// where a public name has no doc comment, or no example in it that type-checks.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tool = join(root, "docs", "api-tool");
const check = process.argv.includes("--check");

function run(command, args, cwd) {
  execFileSync(command, args, { cwd, stdio: "inherit", shell: process.platform === "win32" });
}

/** Of a function the comment stands with its signature. */
function commentOf({ comment, signatures }) {
  return comment ?? signatures?.find((signature) => signature.comment)?.comment;
}

function problemOf(reflection) {
  const comment = commentOf(reflection);
  if (!comment?.summary?.some(({ text }) => text.trim() !== "")) return "has no doc comment";
  if (!comment.blockTags?.some(({ tag }) => tag === "@example")) return "has no @example";
  return undefined;
}

/** The examples of a name, as they stand between their fences. */
function examplesOf(reflection) {
  const tags = commentOf(reflection)?.blockTags?.filter(({ tag }) => tag === "@example") ?? [];
  return tags.flatMap(({ content }) => {
    const text = content.map((part) => part.text).join("");
    return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
  });
}

/** One file an example, each named for what it shows, so that an error says where it comes from. */
function typeCheck(reflections) {
  const folder = join(root, "build", "api-examples");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const reflection of reflections)
    for (const [i, code] of examplesOf(reflection).entries())
      writeFileSync(join(folder, `${reflection.name}-${i}.ts`), code);
  const options = { noUnusedLocals: false, noUnusedParameters: false };
  const config = { extends: "../../tsconfig.json", compilerOptions: options, include: ["*.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", folder], root);
}

if (!existsSync(join(tool, "node_modules", "typedoc")))
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], tool);
const html = check ? [] : ["--html", join(root, "build", "api")];
run(process.execPath, ["node_modules/typedoc/bin/typedoc", ...html], tool);

const { children = [] } = JSON.parse(readFileSync(join(root, "build", "api.json"), "utf8"));
const problems = children.flatMap((reflection) => {
  const problem = problemOf(reflection);
  return problem ? [`${reflection.name} ${problem}`] : [];
});
for (const problem of problems) console.error(problem);
if (children.length === 0) console.error("the root export has no public names");
console.log(
  `${children.length - problems.length} of ${children.length} public names have a doc comment with an example`,
);
if (!check) console.log(`the reference is in ${join("build", "api", "index.html")}`);
if (problems.length > 0 || children.length === 0) process.exit(1);
try {
  typeCheck(children);
} catch {
  console.error("an example of a doc comment does not type-check");
  process.exit(1);
}
