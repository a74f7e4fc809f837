/** Where a package of data lies. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { KasminaError } from "../base/errors.js";

/**
 * Folder of an installed package: beside this package, or in the project of the caller.
 *
 * @param hint what else would do, for the error
 * @throws KasminaError `invalid_data` where it is not installed
 */
export function packageFolder(name: string, hint: string): string {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      return dirname(createRequire(from).resolve(`${name}/package.json`));
    } catch {
      // Not there: the next place, and after the last one the error below.
    }
  }
  throw new KasminaError(
    "invalid_data",
    `the package ${name} is not installed: run \`npm install ${name}\`, or ${hint}`,
  );
}
