/** Opens the data of a run, and identifies them. */
import type { AnyDataset, Dataset } from "../../contracts/index.js";
import { absoluteDataName, digestOfDataset } from "../../data/digest.node.js";
import { openDataset } from "../../data/index.js";
import { openStored } from "../../data/open-stored.node.js";
import { checkSameData, type DataRecord, dataRecordOf } from "./data-record.js";

/**
 * @param given a name as `--data` takes it, or data in code
 * @param recorded what a run that goes on began with
 * @param folder of the run: where it has one, tables that are larger than memory lie in a file there
 * @throws KasminaError `invalid_data` where they are others now, saying what differs
 */
export async function openRunData(
  given: Dataset | string,
  recorded?: DataRecord,
  folder?: string,
): Promise<{ readonly dataset: AnyDataset; readonly record: DataRecord; close?(): Promise<void> }> {
  const stored =
    typeof given === "string" && folder !== undefined ? await openStored(given, folder) : undefined;
  try {
    const dataset = stored?.dataset ?? (typeof given === "string" ? await openDataset(given) : given);
    const name = typeof given === "string" ? given : given.name;
    const origin = typeof given === "string" ? absoluteDataName(given) : name;
    const record = dataRecordOf(dataset, { origin, sha256: digestOfDataset(dataset) });
    if (recorded) checkSameData(name, recorded, record);
    return { dataset, record, ...(stored && { close: () => stored.close() }) };
  } catch (error) {
    await stored?.close();
    throw error;
  }
}
