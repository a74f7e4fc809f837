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

test("1,000 names over the socket of a run", () => tryNamesOverSocket(root, 1_000, 1), 60_000);
test("1,000 names over a bus", () => tryNamesOverBus(1_000, 2), 60_000);
