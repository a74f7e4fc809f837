/** `kasmina keys`: makes and lists the keys that sign commands. Secrets are written to the file and nowhere else. */
import type { Command } from "commander";
import { systemClock } from "../../base/index.js";
import { addKey, type KeyInfo, listKeys } from "../../contracts/index.node.js";
import { KEY_FILE_VARIABLE } from "../../weatherlight/control/run-keys.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

const DEFAULT_FILE = "kasmina.keys";

interface KeysFlags {
  readonly file?: string;
  readonly json?: boolean;
}

export function addKeys(command: Command, io: Io, done: (exitCode: number) => void): void {
  command.description("make and list the keys that sign commands").usage("new|list [options]");
  const show = (keys: readonly KeyInfo[], path: string, json = false): void => {
    io.stdout.write(json ? keys.map(jsonLine).join("") : `${formatKeys(keys, path)}\n`);
    done(EXIT.done);
  };
  addOptions(
    command.command("new").description("add a key, which signs from now on; older keys still verify"),
  ).action(({ file, json }: KeysFlags) => {
    const path = fileOf(file, io);
    show([addKey(path, systemClock.nowMs())], path, json);
  });
  addOptions(command.command("list").description("list the ids of a key file, never the secrets")).action(
    ({ file, json }: KeysFlags) => {
      const path = fileOf(file, io);
      show(listKeys(path), path, json);
    },
  );
}

function addOptions(command: Command): Command {
  return command
    .option("--file <path>", `the key file (default: ${KEY_FILE_VARIABLE}, else ${DEFAULT_FILE})`)
    .option("--json", "print one JSON object a line");
}

function fileOf(file: string | undefined, io: Io): string {
  return file ?? (io.env[KEY_FILE_VARIABLE] || DEFAULT_FILE);
}

function jsonLine({ id, createdAt, active }: KeyInfo): string {
  return `${JSON.stringify({ type: "key", id, created_at: createdAt, active })}\n`;
}

function formatKeys(keys: readonly KeyInfo[], path: string): string {
  const rows = keys.map(({ id, createdAt, active }) => [id, createdAt, active ? "signs" : "verifies"]);
  return [`${path}`, ...formatTable([["key", "made", "use"], ...rows])].join("\n");
}
