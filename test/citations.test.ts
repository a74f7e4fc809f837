/** Nothing cites what is not there: files, links and headings that docs, code and tests name exist. */
import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const FOLDERS = ["bench", "docs", "examples", "ops", "proto", "scripts", "src", "test", "web"];
/** Generated, or copied from elsewhere unchanged. */
const COPIED = /(^|\/)(gen|fixtures)\/|onnx\.proto$/;

const files = [
  ...readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name),
  ...FOLDERS.flatMap(filesIn),
];
const pages = files.filter((file) => file.endsWith(".md") && !COPIED.test(file) && file !== "CHANGELOG.md");
const code = files.filter((file) => !COPIED.test(file) && /\.(ts|tsx|mjs|js|proto|yaml)$/.test(file));

function filesIn(folder: string): string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
      .filter((file) => !file.includes("node_modules/"));
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

function headingsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => title.replaceAll("`", ""));
}

/** As GitHub makes anchors of headings. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** Why a link of a page leads nowhere; undefined where it leads somewhere, or outside. */
function brokenLink(page: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : normalize(join(page, "..", path));
  const isFolder = files.some((known) => known.startsWith(file.replace(/\/?$/, "/")));
  if (!files.includes(file) && !isFolder) return `${page} links to ${target}: no such file`;
  if (anchor === undefined || headingsOf(file).some((heading) => anchorOf(heading) === anchor))
    return undefined;
  return `${page} links to ${target}: no such heading`;
}

test.each(pages)("links of %s", (page) => {
  const links = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  expect(links.flatMap((target) => brokenLink(page, target) ?? [])).toEqual([]);
});

test.each(pages)("files that %s names", (page) => {
  const named = [...textOf(page).matchAll(/`([\w./-]+\.(?:ts|tsx|mjs|proto|md))`/g)].map(
    ([, name = ""]) => name,
  );
  // `x.test.ts` stands for any.
  const exists = (name: string) => files.some((file) => file === name || file.endsWith(`/${name}`));
  const missing = named.filter((name) => !name.startsWith("x.") && !exists(name));
  expect(missing).toEqual([]);
});

/**
 * `docs/<page>.md`, and where a heading in quotes follows, that too; a comment may break the line in between. Our pages
 * have names in lower case; those of ONNX have not.
 */
const CITATION = /\b(docs\/[a-z][a-z-]*\.md)(?:,[\s*/#]+"([^"]+)")?/g;

test("pages and headings that code names", () => {
  const broken = code.flatMap((file) =>
    [...textOf(file).matchAll(CITATION)].flatMap(([, page = "", title]) => {
      const heading = title?.replace(/\s*\n[\s*/#]*/g, " ");
      if (!files.includes(page)) return [`${file} cites ${page}: no such page`];
      if (heading === undefined || headingsOf(page).includes(heading)) return [];
      return [`${file} cites ${page}, "${heading}": no such heading`];
    }),
  );
  expect(broken).toEqual([]);
});

test("no page outside of the project is cited by section", () => {
  const outside = new RegExp(["DESIGN", "§"].join(" ?"));
  expect([...pages, ...code].filter((file) => outside.test(textOf(file)))).toEqual([]);
});
