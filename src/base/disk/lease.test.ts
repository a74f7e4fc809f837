import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acquireLease, type Held, type Lease, type LeaseOptions } from "./index.node.js";
import { livenessOf, ownIdentity, type ProcessIdentity } from "./process-identity.node.js";

let folder = "";
let taken: Lease[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-lease-"));
});
afterEach(() => {
  for (const lease of taken) lease.release();
  taken = [];
  rmSync(folder, { recursive: true });
});

async function acquire(options: Partial<LeaseOptions> = {}, where = folder): Promise<Lease | Held> {
  const lease = await acquireLease(where, { purpose: "a test", silentMs: 100, ...options });
  if (!lease.held) taken.push(lease);
  return lease;
}

/** Leaves the lease as a process does that was killed, or lives somewhere else. */
async function leaveTo(identity: ProcessIdentity): Promise<string> {
  const lease = await acquire({ identity });
  if (lease.held) throw new Error(lease.by);
  return join(folder, ".lease", String(lease.fence));
}

test("one holds, the next is told who, and has it after the release; the fence grows", async () => {
  const first = await acquire();
  expect(first).toMatchObject({ held: false, fence: 1 });
  expect(await acquire({ purpose: "another" })).toMatchObject({
    held: true,
    by: expect.stringMatching(`^process ${process.pid} on .* \\(a test\\) since 20`),
  });
  if (!first.held) first.release();
  if (!first.held) expect(first.isHeld()).toBe(false);
  expect(await acquire()).toMatchObject({ held: false, fence: 2 });
});

test("of many that take at once, one gets it", async () => {
  for (let round = 0; round < 10; round++) {
    const all = await Promise.all(Array.from({ length: 10 }, () => acquire()));
    const winners = all.filter(({ held }) => !held);
    expect(winners).toHaveLength(1);
    for (const winner of winners) if (!winner.held) winner.release();
  }
});

test("files of takings long past are removed", async () => {
  for (let i = 0; i < 40; i++) {
    const lease = await acquire();
    if (!lease.held) lease.release();
  }
  expect(readdirSync(join(folder, ".lease"))).toHaveLength(16);
  expect(await acquire()).toMatchObject({ fence: 41 });
});

test("a taker that was held up steps back where the folder went on", async () => {
  await leaveTo({ ...ownIdentity(), pid: 2 ** 22 + 1 });
  await acquire();
  // What the late one would claim is free again.
  renameSync(join(folder, ".lease", "2"), join(folder, ".lease", "20"));
  expect(await acquire()).toMatchObject({ held: true });
});

test("a holder is dead when its process is, whatever uses its number now", async () => {
  await leaveTo({ ...ownIdentity(), start: "1" });
  expect(await acquire()).toMatchObject({ held: false, fence: 2 });
});

test("a holder of an earlier boot of this machine is dead", async () => {
  await leaveTo({ ...ownIdentity(), boot: "earlier" });
  expect(await acquire({ silentMs: 60_000 })).toMatchObject({ held: false });
});

describe("a holder that cannot be asked after", () => {
  const elsewhere = (): ProcessIdentity => ({ ...ownIdentity(), namespace: "pid:[1]" });

  test("holds as long as it renews", async () => {
    const file = await leaveTo(elsewhere());
    let seconds = 1;
    const renewing = setInterval(() => utimesSync(file, ++seconds, seconds), 20);
    expect(await acquire({ silentMs: 2_000 })).toMatchObject({ held: true });
    clearInterval(renewing);
  });

  test("has lost the folder when it is silent, and knows it when it wakes up", async () => {
    const late = await acquire({ identity: elsewhere(), renewMs: 600_000 });
    expect(await acquire()).toMatchObject({ held: false, fence: 2 });
    if (!late.held) expect(late.isHeld()).toBe(false);
  });

  test("is another thread of this process too", async () => {
    const lease = await acquire({ renewMs: 600_000 });
    const text = readFileSync(join(folder, ".lease", "1"), "utf8");
    writeFileSync(
      join(folder, ".lease", "2"),
      text.replace(/"token":"[^"]*"/, '"token":"of another thread"'),
    );
    expect(await acquire()).toMatchObject({ held: false, fence: 3 });
    if (!lease.held) lease.release();
  });
});

test("a copy of a folder in use is free, the folder itself is not, also where it was moved", async () => {
  await acquire();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  expect(await acquire({}, copy)).toMatchObject({ held: false });
  rmSync(copy, { recursive: true });
  const moved = `${folder}-moved`;
  renameSync(folder, moved);
  expect(await acquire({}, moved)).toMatchObject({ held: true });
  renameSync(moved, folder);
});

test.each([
  "",
  "{",
  '{"holder":1}',
])("a file that says nothing holds for a moment alone: %j", async (text) => {
  mkdirSync(join(folder, ".lease"));
  writeFileSync(join(folder, ".lease", "7"), text);
  expect(await acquire()).toMatchObject({ held: false, fence: 8 });
});

test("what is shown of a holder obeys no terminal", async () => {
  const lease = await acquire({ purpose: "\x1b[2J\nevil" });
  expect(lease).toMatchObject({ held: false });
  expect(await acquire()).toMatchObject({ by: expect.stringContaining("(?[2J?evil)") });
});

test("no lease is written through a link", async () => {
  mkdirSync(join(folder, "victim"));
  symlinkSync(join(folder, "victim"), join(folder, ".lease"));
  await expect(acquire()).rejects.toThrow(/is a link/);
  expect(readdirSync(join(folder, "victim"))).toEqual([]);
});

test("a folder that is gone keeps nobody from releasing", async () => {
  const lease = await acquire();
  rmSync(join(folder, ".lease"), { recursive: true });
  if (!lease.held) lease.release();
  expect(readdirSync(folder)).toEqual([]);
});

describe("what is known of a process", () => {
  const own = ownIdentity();

  test.skipIf(process.platform !== "linux")("alive, suspended, dead", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const { pid = 0 } = child;
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    const other = { ...own, pid, start: fields[19] ?? "" };
    expect(livenessOf(other, own, true)).toBe("alive");
    child.kill("SIGSTOP");
    await expect.poll(() => livenessOf(other, own, true)).toBe("suspended");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(livenessOf(other, own, true)).toBe("dead");
  });

  test.each([
    ["another boot, on a shared folder", { boot: "x" }, false, "unknown"],
    ["another boot, on a disk of this machine", { boot: "x" }, true, "dead"],
    ["another namespace of processes", { namespace: "x" }, true, "unknown"],
    ["the same number, started at another time", { start: "1" }, true, "dead"],
    ["no such process", { pid: 2 ** 22 + 1 }, true, "dead"],
  ] as const)("%s", (_, change, isLocal, expected) => {
    expect(livenessOf({ ...own, ...change }, own, isLocal)).toBe(expected);
  });
});
