// The process that is killed: handles what is in the spool, a few commands a step, as a trainer would. When the spool is
// empty it goes through the journal's effects from the start and writes down each learning rate that was set.
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemClock } from "../dist/base/index.js";
import { KeyRing } from "../dist/contracts/index.js";
import { Kasmina, parseConfig } from "../dist/kasmina/index.js";
import { openJournal } from "../dist/kasmina/index.node.js";
import { builtinBlueprints } from "../dist/nn/index.js";

const [spool, path] = process.argv.slice(2);
const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(5) }]);
const journal = openJournal(path, { keys, trainingRunId: "run-1" });
const kasmina = new Kasmina({
  trainingRunId: "run-1",
  slots: [{ id: "block1", shape: [8], depth: 1 }],
  blueprints: builtinBlueprints,
  // A loaded machine may take minutes over all the restarts.
  config: parseConfig({ command: { freshnessWindowMs: 900_000 }, nonceLedger: { ttlMs: 1_000_000 } }),
  clock: systemClock,
  telemetry: { emit: () => undefined },
  keys,
  journal,
  kernels: { fetch: () => Promise.reject(new Error("no kernel is asked for here")) },
});
// The checkpoint of this run is its beginning: everything journaled is replayed.
kasmina.resume({ ...kasmina.snapshot(), journalSequence: 0 });
console.log("ready");
const effects = [];
let taken = 0;
const source = {
  drain: () => {
    const names = readdirSync(spool).slice(0, 3);
    taken = names.length;
    return names.map((name) => ({
      envelope: new Uint8Array(readFileSync(join(spool, name))),
      busEntry: name,
      acknowledge: () => unlinkSync(join(spool, name)),
    }));
  },
};
const lastStep = () => Math.max(0, ...journal.records.slice(-3).map((record) => record.step));
for (let step = 0; readdirSync(spool).length > 0 || step <= lastStep(); step++) {
  kasmina.receive(source, { step, epoch: 0 });
  for (const change of await kasmina.takeEffect(step))
    if (change.kind === "optimizer") effects.push(change.settings.learningRate);
  // A step with commands takes as long as a trainer's may: a fast machine too must be killed in the middle.
  if (taken > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  taken = 0;
}
writeFileSync(join(dirname(path), "effects.json"), JSON.stringify(effects));
