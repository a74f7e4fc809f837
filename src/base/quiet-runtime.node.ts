/**
 * ONNX Runtime 1.30 tells its maker of each use, writes an id and a database into the home folder for it and looks up a host, unless
 * `CI` is set or it is told not to. It reads the environment of the process once, when it is loaded; what a worker thread sets in
 * its own copy of the environment never gets there, so this must happen on the main thread, before any thread loads it.
 */
export function quietRuntime(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
}

/** The environment for processes and threads that sign nothing: without secrets. */
export function environmentWithoutKeys(): NodeJS.ProcessEnv {
  const { KASMINA_KEYS: _, ...rest } = process.env;
  return rest;
}

/** What {@link hideKeys} took. */
let hiddenKeys: string | undefined;

/**
 * Takes `KASMINA_KEYS` out of the environment of this process: a diagnostic report holds all of it and is sent to whoever is asked for
 * help, and Node 20 has no option against that. For programs: a library leaves the environment to its user. On the main thread.
 */
export function hideKeys(): void {
  hiddenKeys = process.env.KASMINA_KEYS;
  delete process.env.KASMINA_KEYS;
}

/** The environment for what signs and verifies: with what {@link hideKeys} took. */
export function environmentWithKeys(): NodeJS.ProcessEnv {
  return hiddenKeys === undefined ? process.env : { ...process.env, KASMINA_KEYS: hiddenKeys };
}
