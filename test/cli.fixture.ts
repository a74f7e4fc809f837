/** Runs of the built command line that tests start, and what they print. */
export const SMALL = ["grow", "--data", "spirals"];
/** Long enough for a seed to germinate and train. */
export const SHORT = [...SMALL, "--host", "resmlp", "--epochs", "4", "--policy", "epoch:1", "--json"];

export function linesOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
