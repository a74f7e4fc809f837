// Takes up a run's folder as a resume does and works in it until it is told to end: each line of the witness says which taking
// wrote it. Its clock jumps by days. Usage: node lease-race.child.mjs FOLDER WITNESS
import { appendFileSync } from "node:fs";
import { RunFolder } from "../dist/weatherlight/folder/run-folder.js";

const [path, witness] = process.argv.slice(2);
const now = Date.now;
Date.now = () => now() + (Math.random() - 0.5) * 4 * 86_400_000;

try {
  const folder = await RunFolder.reopen(path);
  const end = now() + 40 + Math.random() * 160;
  while (now() < end) {
    if (!folder.lease.isHeld()) break;
    appendFileSync(witness, `${folder.lease.fence} ${process.pid}\n`);
    await new Promise((done) => setTimeout(done, 2));
  }
  folder.close();
  process.exitCode = 0;
} catch (error) {
  if (!/is in use by process/.test(String(error))) console.error(error);
  process.exitCode = /is in use by process/.test(String(error)) ? 2 : 1;
}
