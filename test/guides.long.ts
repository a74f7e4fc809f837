/** The commands on image folders that docs/guides.md shows do what it says, on folders as it describes them. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, expect, test } from "vitest";
import { imageOf, write, writeClasses } from "../src/data/images.fixture.js";

const GUIDES = new URL("../docs/guides.md", import.meta.url);
const MAIN = new URL("../bin/kasmina.mjs", import.meta.url).pathname;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-guides-"));
});
afterAll(() => rm(root, { recursive: true }));

/** The lines of the first shell block below a heading, but for what is installed. */
async function commandsBelow(heading: string): Promise<string[]> {
  const text = await readFile(GUIDES, "utf8");
  const section = text.slice(text.indexOf(`\n## ${heading}\n`));
  const [, block = ""] = /^```sh\n(.*?)^```$/ms.exec(section) ?? [];
  return block.split("\n").filter((line) => line.startsWith("npx kasmina "));
}

/** As a shell runs it, where `npx kasmina` is this package. */
async function run(line: string): Promise<string> {
  const command = line.replace("npx kasmina", `"${process.execPath}" "${MAIN}"`);
  return (await promisify(execFile)("sh", ["-c", command], { cwd: root })).stdout;
}

test("the commands on image folders run as they stand", async () => {
  const commands = await commandsBelow("Images");
  expect(commands.map((line) => line.split(" ")[2])).toEqual(["grow", "predict", "predict"]);
  await writeClasses(join(root, "pictures"), { blue: "#0000ff", red: "#ff0000" }, 40);
  await write(join(root, "new", "a.png"), await imageOf("#ff0000", 4, "a.png"));
  await write(join(root, "new", "b.jpg"), await imageOf("#0000ff", 7, "b.jpg"));
  await write(join(root, "one.jpg"), await imageOf("#0000ff", 2, "one.jpg"));

  const [grow = "", predict = "", predictOne = ""] = commands;
  await run(grow);
  await run(predict);
  const answers = await readFile(join(root, "answers.csv"), "utf8");
  expect(parse(answers, { columns: true })).toMatchObject([{ file: "a.png" }, { file: "b.jpg" }]);
  expect(answers.split("\n")[0]).toBe("file,prediction,p_blue,p_red");
  expect(parse(await run(predictOne), { columns: true })).toMatchObject([{ file: "one.jpg" }]);
}, 300_000);
