/** What README.md shows. The pages of docs/ are run by the long suites. */
import { test } from "vitest";
import { examplesIn, expectToRun } from "./docs.fixture.js";

test.each(examplesIn("README.md"))("$name, example $i", expectToRun);
