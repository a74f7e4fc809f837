/** `kasmina keys`: makes, lists, revokes and shares the keys that sign. Secrets are written to the file and nowhere else. */
import { type Command, Option } from "commander";
import { printable, systemClock } from "../../base/index.js";
import { KEY_ROLES, type KeyRole } from "../../contracts/index.js";
import {
  addKey,
  KEY_KINDS,
  type KeyInfo,
  type KeyKind,
  listKeys,
  revokeKey,
  sharePublicKeys,
} from "../../contracts/index.node.js";
import { KEY_FILE_VARIABLE } from "../../weatherlight/control/run-keys.js";
import { EXIT } from "../terminal/exit.js";
import type { Io } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

const DEFAULT_FILE = "kasmina.keys";

interface KeysFlags {
  readonly file?: string;
  readonly json?: boolean;
}

interface NewFlags extends KeysFlags {
  readonly kind: KeyKind;
  readonly role?: KeyRole;
  readonly issuer?: string;
}

export function addKeys(command: Command, io: Io, done: (exitCode: number) => void): void {
  command
    .description("make, list, revoke and share the keys that sign")
    .usage("new|list|revoke|share [options]");
  const show = (keys: readonly KeyInfo[], path: string, json = false): void => {
    io.stdout.write(json ? keys.map(jsonLine).join("") : `${formatKeys(keys, path)}\n`);
    done(EXIT.done);
  };
  addOptions(
    command.command("new").description("add a key, which signs from now on; older keys still verify"),
  )
    .addOption(
      new Option(
        "--kind <kind>",
        "hmac: one secret for all; ed25519: whoever has the public half signs nothing",
      )
        .choices([...KEY_KINDS])
        .default("hmac"),
    )
    .addOption(
      new Option("--role <role>", "what it is good for (default: everything)").choices([...KEY_ROLES]),
    )
    .option("--issuer <name>", "the only issuer of its commands, such as tamiyo (default: any)")
    .action(({ file, json, kind, role, issuer }: NewFlags) => {
      const path = fileOf(file, io);
      show([addKey(path, systemClock.nowMs(), { kind, role, issuer })], path, json);
    });
  addOptions(command.command("list").description("list the keys of a file, never their secrets")).action(
    ({ file, json }: KeysFlags) => {
      const path = fileOf(file, io);
      show(listKeys(path), path, json);
    },
  );
  addOptions(
    command
      .command("revoke")
      .argument("<id>")
      .description("refuse what a key signs from now on; runs that read the file notice"),
  ).action((id: string, { file, json }: KeysFlags) => {
    const path = fileOf(file, io);
    show([revokeKey(path, id, systemClock.nowMs())], path, json);
  });
  addOptions(
    command
      .command("share")
      .argument("<key-file>", "of whoever is to verify")
      .description("add the public halves of the Ed25519 keys to another key file, which can then verify"),
  ).action((to: string, { file, json }: KeysFlags) => show(sharePublicKeys(fileOf(file, io), to), to, json));
}

function addOptions(command: Command): Command {
  return command
    .option("--file <path>", `the key file (default: ${KEY_FILE_VARIABLE}, else ${DEFAULT_FILE})`)
    .option("--json", "print one JSON object a line");
}

/** The key file that a command line means. */
export function fileOf(file: string | undefined, io: Io): string {
  return file ?? (io.env[KEY_FILE_VARIABLE] || DEFAULT_FILE);
}

function jsonLine({ id, createdAt, kind, role, issuer, use }: KeyInfo): string {
  const owner = { role: role ?? null, issuer: issuer ?? null };
  return `${JSON.stringify({ type: "key", id, created_at: createdAt, kind, ...owner, use, active: use === "signs" })}\n`;
}

function formatKeys(keys: readonly KeyInfo[], path: string): string {
  const rows = keys.map(({ id, createdAt, kind, role, issuer, use }) => [
    id,
    createdAt,
    kind,
    role ?? "any",
    printable(issuer ?? "any"),
    use,
  ]);
  return [path, ...formatTable([["key", "made", "kind", "role", "issuer", "use"], ...rows])].join("\n");
}
