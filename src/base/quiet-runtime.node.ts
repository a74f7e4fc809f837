/**
 * ONNX Runtime 1.30 tells its maker of each use, writes an id and a database into the home folder for it and looks up a host, unless
 * `CI` is set or it is told not to. It reads the environment of the process once, when it is loaded; what a worker thread sets in
 * its own copy of the environment never gets there, so this must happen on the main thread, before any thread loads it.
 */
export function quietRuntime(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  // A diagnostic report is sent to whoever is asked for help.
  if (process.report) (process.report as { excludeEnv?: boolean }).excludeEnv = true;
}

/** The environment for processes and threads that sign nothing: without secrets. */
export function environmentWithoutKeys(): NodeJS.ProcessEnv {
  const { KASMINA_KEYS: _, ...rest } = process.env;
  return rest;
}
