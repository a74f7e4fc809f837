/** `kasmina export`: the grown network as an ONNX model, its weights as safetensors. */
import type { Command } from "commander";
import { KasminaError } from "../../base/index.js";
import { readGrownNetwork } from "../../weatherlight/run/read-network.node.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say } from "../terminal/io.js";
import { addModuleOptions, givenModules, type ModuleFlags } from "./modules.js";

interface Flags {
  readonly onnx?: string;
  readonly safetensors?: string;
  readonly withPreprocessing?: boolean;
}

export function addExport(command: Command, io: Io, done: (exitCode: number) => void): void {
  addModuleOptions(command)
    .argument("<run-dir>", "folder of a run")
    .option("--onnx <file>", "the forward pass, for any batch size")
    .option(
      "--with-preprocessing",
      "the model takes raw columns or bytes, and answers with names and probabilities",
    )
    .option("--safetensors <file>", "the weights")
    .action(
      async (
        path: string,
        { onnx, safetensors, withPreprocessing: preprocessing = false, ...modules }: Flags & ModuleFlags,
      ) => {
        if (onnx === undefined && safetensors === undefined) {
          throw new KasminaError("invalid_argument", "name a file with --onnx or --safetensors");
        }
        if (preprocessing && onnx === undefined)
          throw new KasminaError("invalid_argument", "--with-preprocessing is for --onnx <file>");
        const network = await readGrownNetwork(path, givenModules(modules));
        if (onnx !== undefined) sayWritten(onnx, await network.toOnnx(onnx, { preprocessing }), io);
        if (safetensors !== undefined) sayWritten(safetensors, await network.toSafetensors(safetensors), io);
        done(EXIT.done);
      },
    );
}

function sayWritten(path: string, bytes: Uint8Array, io: Io): void {
  say(io, `wrote ${path} (${count(bytes.length)} bytes)`);
}
