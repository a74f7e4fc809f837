import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { tryNamesOverBus, tryNamesOverSocket } from "./names.fixture.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-names-"));
});
afterAll(() => rm(root, { recursive: true }));

test("100,000 names over the socket of a run", () => tryNamesOverSocket(root, 100_000, 1), 1_800_000);
test("100,000 names over a bus", () => tryNamesOverBus(100_000, 2), 1_800_000);
