/** What the pages of docs/ show. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { examplesIn, expectToRun, ROOT } from "./docs.fixture.js";

const pages = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));

test.each(pages.flatMap((name) => examplesIn(`docs/${name}`)))("$name, example $i", expectToRun);
