/**
 * Which keys a run signs and verifies with: those of KASMINA_KEYS, else of the file that KASMINA_KEY_FILE names, else
 * of a file in the run folder that the run itself makes (owner only), so that an operator on the same account can
 * command it and nobody else.
 */
import { join } from "node:path";
import { lstatIfThere } from "../../base/disk/index.node.js";
import { type Clock, KasminaError, messageOf, systemClock, type Timer } from "../../base/index.js";
import { environmentWithKeys } from "../../base/quiet-runtime.node.js";
import type { KeyRing } from "../../contracts/index.js";
import { addKey, hasKeyFile, KEYS_VARIABLE, keysIn, loadKeys } from "../../contracts/index.node.js";

export const KEY_FILE_VARIABLE = "KASMINA_KEY_FILE";
/** In the run folder. */
export const RUN_KEY_FILE = "control.keys";

/** The key file that holds for a run folder. */
export function keyFileOf(runFolder: string, environment: NodeJS.ProcessEnv = environmentWithKeys()): string {
  return environment[KEY_FILE_VARIABLE] || join(runFolder, RUN_KEY_FILE);
}

/**
 * Keys that several machines share: those of the environment, for there is no folder that all of them have.
 * @throws KasminaError `invalid_argument` where the environment names none
 */
export function sharedKeys(environment: NodeJS.ProcessEnv = environmentWithKeys()): KeyRing {
  const file = environment[KEY_FILE_VARIABLE];
  if (!environment[KEYS_VARIABLE] && !file)
    throw new KasminaError(
      "invalid_argument",
      `whoever meets on a bus needs the same keys: ${KEY_FILE_VARIABLE} names their file (\`kasmina keys new\`), or ${KEYS_VARIABLE} holds them`,
    );
  return loadKeys(file ?? "", environment);
}

/** How often a key file is looked at. */
const RELOAD_MS = 1_000;

/**
 * Lets a ring follow its key file: keys that were added, revoked or taken away since hold within a second. A file that cannot be read
 * changes nothing, and is reported once.
 * @returns what ends it
 */
export function followKeyFile(
  keys: KeyRing,
  file: string,
  onProblem: (problem: string) => void,
  clock: Clock = systemClock,
): () => void {
  let seen = versionOf(file);
  let timer: Timer;
  const look = (): void => {
    const version = versionOf(file);
    if (version !== seen) {
      seen = version;
      try {
        keys.replace(keysIn(file));
      } catch (error) {
        onProblem(`the keys stay as they are: ${messageOf(error)}`);
      }
    }
    timer = clock.setTimer(look, RELOAD_MS);
  };
  timer = clock.setTimer(look, RELOAD_MS);
  return () => timer.cancel();
}

/** Differs once the file has been written anew. */
function versionOf(file: string): string {
  const stats = lstatIfThere(file);
  return stats ? `${stats.ino} ${stats.mtimeMs} ${stats.size}` : "";
}

/**
 * The keys of the run in `runFolder`.
 * @param options `create`: whether they are made where nobody has; default true
 * @throws KasminaError `io` where there are none, or others than its owner can read them
 */
export function openRunKeys(
  runFolder: string,
  { create = true }: { readonly create?: boolean } = {},
  environment: NodeJS.ProcessEnv = environmentWithKeys(),
): KeyRing {
  const file = keyFileOf(runFolder, environment);
  const given = environment[KEYS_VARIABLE] || environment[KEY_FILE_VARIABLE];
  if (create && !given && !hasKeyFile(file)) addKey(file, systemClock.nowMs());
  return loadKeys(file, environment);
}
