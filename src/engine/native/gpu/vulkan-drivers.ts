/**
 * Which Vulkan drivers a Linux machine has. ONNX Runtime 1.30 takes no adapter by name (its package for Node hands none of Dawn's
 * options on): the one way to choose is the Vulkan loader's, by the file that describes a driver.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { KasminaError } from "../../../base/errors.js";

/** Of the loader, the newer one first: where both are set, it reads that alone. */
const VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;

/** Where drivers are installed for all users. */
const FOLDERS = ["/usr/local/etc", "/usr/local/share", "/etc", "/usr/share"].map((parent) =>
  join(parent, "vulkan/icd.d"),
);

/**
 * Checks that a driver which the environment names is there: the loader would pass over one that is not, and say "no GPU".
 * @param folders where drivers are looked for, to tell which there are
 * @throws KasminaError `engine` where none of those named is there, with those that are
 */
export function checkNamedDrivers(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  folders: readonly string[] = FOLDERS,
): void {
  if (process.platform !== "linux") return;
  const variable = VARIABLES.find((name) => environment[name]);
  const named = (variable && environment[variable]?.split(":").filter((path) => path !== "")) || [];
  if (!variable || named.some((path) => existsSync(path))) return;
  const drivers = folders.flatMap(driversIn);
  const known = drivers.length > 0 ? drivers.join(", ") : `none in ${folders.join(", ")}`;
  throw new KasminaError(
    "engine",
    `${variable} names no Vulkan driver that is there (${named.join(", ")}); this machine has ${known}`,
  );
}

function driversIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => join(folder, name));
}
