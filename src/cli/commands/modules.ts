/** Code of a run, named again by whoever opens its folder. */
import type { Command } from "commander";

/** Names the modules of a run again: no code is loaded because a folder names it. */
export function addModuleOptions(command: Command): Command {
  return command
    .option("--host <module>", "where the run's host is module:<file>#<export>: name it again")
    .option(
      "--blueprint <module>",
      "likewise of a blueprint; may be given several times",
      (name: string, others: readonly string[] = []) => [...others, name],
    );
}

export interface ModuleFlags {
  readonly host?: string | undefined;
  readonly blueprint?: readonly string[] | undefined;
}

export function givenModules({ host, blueprint }: ModuleFlags) {
  return { ...(host !== undefined && { host }), ...(blueprint && { blueprints: blueprint }) };
}
