/** `kasmina export`: the grown network as an ONNX model, its weights as safetensors. */
import type { Command } from "commander";
import { writeFileAtomically } from "../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import {
  networkToOnnx,
  networkToSafetensors,
  readGrownNetwork,
} from "../../weatherlight/folder/export-run.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import type { Io } from "../terminal/io.js";

interface Flags {
  readonly onnx?: string;
  readonly safetensors?: string;
}

export function addExport(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .argument("<run-dir>", "folder of a run")
    .option("--onnx <file>", "the forward pass, for any batch size")
    .option("--safetensors <file>", "the weights")
    .action(async (path: string, { onnx, safetensors }: Flags) => {
      if (onnx === undefined && safetensors === undefined) {
        throw new KasminaError("invalid_argument", "name a file with --onnx or --safetensors");
      }
      const network = await readGrownNetwork(path);
      if (onnx !== undefined) await write(onnx, networkToOnnx(network), io);
      if (safetensors !== undefined) await write(safetensors, networkToSafetensors(network), io);
      done(EXIT.done);
    });
}

async function write(path: string, bytes: Uint8Array, io: Io): Promise<void> {
  try {
    await writeFileAtomically(path, bytes);
  } catch (error) {
    throw new KasminaError("io", `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
  io.stderr.write(`kasmina: wrote ${path} (${count(bytes.length)} bytes)\n`);
}
