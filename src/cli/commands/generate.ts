/** `kasmina generate`: a text that goes on as the network has learned that texts do. */
import type { Command } from "commander";
import type { GenerateOptions } from "../../weatherlight/index.js";
import { readGrownNetwork } from "../../weatherlight/run/read-network.node.js";
import { EXIT } from "../terminal/exit.js";
import { type Io, toNumber } from "../terminal/io.js";
import { addModuleOptions, givenModules, type ModuleFlags } from "./modules.js";

export function addGenerate(command: Command, io: Io, done: (exitCode: number) => void): void {
  addModuleOptions(command)
    .argument("<run-dir>", "folder of a run that learned from a text")
    .requiredOption("--prompt <text>", "what it goes on from")
    .option("--length <n>", "characters, or tokens of a tokenizer (default: 200)", toNumber)
    .option(
      "--temperature <t>",
      "below 1: the likely becomes likelier; 0: the likeliest always (default: 1)",
      toNumber,
    )
    .option("--top-k <n>", "draw from so many of the likeliest (default: all)", toNumber)
    .option("--seed <n>", "the same seed goes on in the same way (default: 0)", toNumber)
    .action(
      async (
        path: string,
        { prompt, host, blueprint, ...options }: GenerateOptions & ModuleFlags & { readonly prompt: string },
      ) => {
        const network = await readGrownNetwork(path, givenModules({ host, blueprint }));
        let begun = false;
        for await (const character of network.generate(prompt, options)) {
          io.stdout.write(begun ? character : prompt + character);
          begun = true;
        }
        io.stdout.write("\n");
        done(EXIT.done);
      },
    );
}
