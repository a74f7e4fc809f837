/** Grows on a table in memory, however large its file is: what a streamed run is held against. Arguments: file, run folder, options of grow(). */

import { parseDataName } from "../dist/data/data-name.js";
import { streamTable } from "../dist/data/stream-table.node.js";
import { inMemory, TableReader } from "../dist/data/table-reader.js";
import { grow } from "../dist/index.js";

const [name, runDir, options] = process.argv.slice(2);
let reader;
await streamTable(parseDataName(name), {
  columns: (columns) => {
    reader = new TableReader(columns, name, { splitSeed: 0 }, inMemory);
  },
  record: (cells) => reader.add(cells),
});
const { stepsPerSecond, steps, accuracy, testLoss, dataSha256, seeds } = await grow({
  ...JSON.parse(options),
  data: reader.dataset(),
  runDir,
});
console.log(
  JSON.stringify({
    stepsPerSecond,
    steps,
    accuracy,
    testLoss,
    dataSha256,
    seeds: seeds.map(({ stage }) => stage),
  }),
);
