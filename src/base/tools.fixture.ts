/** Programs that some tests need besides Node. A test of one that is not there is skipped, unless it is said to be there. */
import { spawnSync } from "node:child_process";

/** What the tests must find, as `KASMINA_REQUIRE` names it: `redis,chromium`. */
const REQUIRED = (process.env.KASMINA_REQUIRE ?? "").split(",").map((name) => name.trim());

/**
 * Whether the program runs here. Says so where it does not, and throws where `KASMINA_REQUIRE` names it.
 *
 * @param name as `KASMINA_REQUIRE` has it
 * @param commands any of which will do
 * @param trial arguments with which it succeeds where it is there
 */
export function findTool(
  name: string,
  commands: readonly string[],
  trial: readonly string[] = ["--version"],
): string | undefined {
  const found = commands.find((command) => spawnSync(command, trial).status === 0);
  if (found !== undefined) return found;
  const missing = `${name} (${commands.join(" or ")}) is not installed`;
  if (REQUIRED.includes(name)) throw new Error(`${missing}, and KASMINA_REQUIRE asks for ${name}`);
  console.warn(`skipped: ${missing}`);
  return undefined;
}
