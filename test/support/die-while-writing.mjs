/**
 * Preloaded into a run (`node --import`): kills its process, as `kill -9` does, at the DIE_AT_MOMENT-th moment within the
 * writing of its checkpoints, and says on stderr which file it was writing. So such a kill is certain, and known.
 *
 * The moments of each file are four: opened, half written, written, and renamed into its place.
 */

import { constants, writeSync } from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname } from "node:path";

let left = Number(process.env.DIE_AT_MOMENT);
const { open, rename } = fs;

function isOfCheckpoint(path) {
  return basename(dirname(String(path))) === "checkpoint";
}

/** Whether this is the moment. */
function passMoment() {
  return --left === 0;
}

function die(path) {
  writeSync(2, `killed while writing ${basename(path)}\n`);
  process.kill(process.pid, "SIGKILL");
}

function dieAtMoment(path) {
  if (passMoment()) die(path);
}

fs.open = async (path, flags, ...more) => {
  const file = await open(path, flags, ...more);
  if ((flags & constants.O_EXCL) === 0 || !isOfCheckpoint(path)) return file;
  dieAtMoment(path);
  const writeFile = file.writeFile.bind(file);
  file.writeFile = async (bytes) => {
    if (passMoment()) {
      await writeFile(bytes.subarray(0, bytes.length / 2));
      die(path);
    }
    await writeFile(bytes);
  };
  return file;
};

fs.rename = async (from, to) => {
  if (!isOfCheckpoint(to)) return rename(from, to);
  dieAtMoment(from);
  await rename(from, to);
  dieAtMoment(to);
};

syncBuiltinESMExports();
