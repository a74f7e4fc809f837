/** The report of a run folder as one HTML page. */
import { inspectRun } from "../folder/inspect-run.js";
import { readRunHistory } from "./history.js";
import { reportPage } from "./page.js";

/**
 * @returns the page: it fetches nothing, and follows the reader's choice of light or dark
 * @throws KasminaError `invalid_argument` where `runDir` holds no run
 */
export async function reportOf(runDir: string): Promise<string> {
  const { blocks } = await inspectRun(runDir);
  return reportPage(
    await readRunHistory(runDir),
    blocks.map(({ name }) => name),
  );
}
