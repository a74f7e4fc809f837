import { test } from "vitest";
import { tryNames } from "./identifiers.fixture.js";

test("100,000 names", () => tryNames(100_000));
