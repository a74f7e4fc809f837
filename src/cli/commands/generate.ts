/** `kasmina generate`: a text that goes on as the network has learned that texts do. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import { readGrownNetwork } from "../../weatherlight/run/read-network.node.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";
import { addModuleOptions, givenModules, type ModuleFlags } from "./modules.js";

interface Flags {
  readonly prompt: string;
  readonly length?: string;
  readonly temperature?: string;
  readonly topK?: string;
  readonly seed?: string;
}

export function addGenerate(command: Command, io: Io, done: (exitCode: number) => void): void {
  addModuleOptions(command)
    .argument("<run-dir>", "folder of a run that learned from a text")
    .requiredOption("--prompt <text>", "what it goes on from")
    .option("--length <n>", "characters (default: 200)")
    .option("--temperature <t>", "below 1: the likely becomes likelier; 0: the likeliest always (default: 1)")
    .option("--top-k <n>", "draw from so many of the likeliest (default: all)")
    .option("--seed <n>", "the same seed goes on in the same way (default: 0)")
    .action(async (path: string, flags: Flags & ModuleFlags) => {
      const options = {
        ...numberIn("length", flags.length, (value) => Number.isInteger(value) && value >= 1 && value <= 1e6),
        ...numberIn("temperature", flags.temperature, (value) => value >= 0 && value <= 100),
        ...numberIn("topK", flags.topK, (value) => Number.isInteger(value) && value >= 1),
        ...numberIn("seed", flags.seed, (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32),
      };
      const network = await readGrownNetwork(path, givenModules(flags));
      let begun = false;
      for await (const character of network.generate(flags.prompt, options)) {
        if (!begun) io.stdout.write(flags.prompt);
        begun = true;
        io.stdout.write(character);
      }
      io.stdout.write("\n");
      done(EXIT.done);
    });
}

function numberIn<K extends string>(
  key: K,
  text: string | undefined,
  isRight: (value: number) => boolean,
): Partial<Record<K, number>> {
  if (text === undefined) return {};
  const value = Number(text);
  if (text.trim() !== "" && isRight(value)) return { [key]: value } as Record<K, number>;
  throw new KasminaError("invalid_argument", `${key} ${text} is out of range`, {
    details: { key, problem: `${text} is out of range` },
  });
}
