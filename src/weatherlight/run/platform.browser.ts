/** A browser, as a run sees it: everything in memory and on one thread. */
import { KasminaError } from "../../base/index.js";
import { makeSpirals } from "../../data/spirals.js";
import type { Platform } from "./platform.js";

function needsNode(what: string): KasminaError {
  return new KasminaError("invalid_argument", `${what} needs Node, and this is a browser`);
}

function refuse(what: string): () => Promise<never> {
  return () => Promise.reject(needsNode(what));
}

export const platform: Platform = {
  openData: async (given) => {
    if (typeof given !== "string") return { dataset: given, record: undefined };
    if (given === "spirals") return { dataset: makeSpirals({ seed: 0 }), record: undefined };
    throw new KasminaError(
      "invalid_argument",
      `data ${given} needs Node: give a Dataset or arrays, or "spirals"`,
    );
  },
  loadModule: refuse("module:<file>"),
  absoluteModule: (reference) => reference,
  absolutePath: (path) => path,
  openStoppedRun: refuse("resume"),
  keepRun: refuse("runDir"),
  openKernels: async () => undefined,
  openTracer: () => "a browser has no process beside it",
  readTeacher: refuse("teacher"),
  parentOptions: refuse("from"),
  readParent: refuse("from"),
  readKeptParent: refuse("from"),
  writeFile: refuse("a file"),
};
