import { once } from "node:events";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type CommandOutcome,
  decodeEnvelope,
  KeyRing,
  Sealer,
  signatureProblem,
} from "../../contracts/index.js";
import { addKey, loadKeys } from "../../contracts/index.node.js";
import type { RunControl, RunStatus } from "../grow/ports.js";
import { newestRun, readStatus, sendCommand } from "./control-client.js";
import { MAX_LINE_BYTES } from "./control-protocol.js";
import { ControlServer } from "./control-server.js";
import { openRunKeys } from "./run-keys.js";

const STATUS: RunStatus = {
  trainingRunId: "run-1",
  step: 7,
  epoch: 0,
  epochs: 2,
  emergency: null,
  seeds: [],
  slots: [],
  closedBlueprints: {},
};

let folder = "";
let server: ControlServer | undefined;
const received: Uint8Array[] = [];
const control: RunControl = {
  send: (envelope, onOutcome) => {
    received.push(envelope);
    onOutcome({ status: "refused", reason: "unknown_seed" });
  },
  status: () => STATUS,
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kasmina-control-"));
});

afterEach(() => {
  server?.close();
  server = undefined;
  received.length = 0;
  rmSync(folder, { recursive: true, force: true });
});

async function listen(at = folder): Promise<ControlServer> {
  server = await open(at);
  return server;
}

function open(at: string): Promise<ControlServer> {
  writeFileSync(join(at, "run.json"), '{"run_id":"run-1"}');
  const sealer = new Sealer(openRunKeys(folder, {}), "run-1");
  return ControlServer.listen({ folder: at, runId: "run-1", control, sealer });
}

describe("the run's local socket", () => {
  test("is the owner's alone, as are address and keys", async () => {
    const { socketPath } = await listen();
    for (const path of [socketPath, join(folder, "control.json"), join(folder, "control.keys")])
      expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("takes a signed command to the run and its outcome back", async () => {
    await listen();
    const outcome: CommandOutcome = await sendCommand(folder, {
      order: { kind: "SEED", operation: "CULL" },
      seedId: "s1",
    });
    expect(outcome).toEqual({ status: "refused", reason: "unknown_seed" });
    const envelope = decodeEnvelope(received[0] ?? new Uint8Array());
    const keys = loadKeys(join(folder, "control.keys"), {});
    expect(envelope && signatureProblem(keys, "kasmina.command.v1", envelope)).toBeUndefined();
  });

  test("reports the run's status", async () => {
    await listen();
    expect(await readStatus(folder)).toEqual(STATUS);
  });

  test("is found as the newest run, and no more once it is closed", async () => {
    await listen();
    expect(await newestRun(join(folder, ".."))).toBe(folder);
    server?.close();
    await expect(newestRun(folder)).rejects.toThrow(/no run is going on/);
    await expect(readStatus(folder)).rejects.toThrow(/no run is going on/);
    expect(() => statSync(join(folder, "control.sock"))).toThrow();
  });

  test.each([
    ["a copy of its folder", {}],
    ["one that was killed", { socket: "other/control.sock", folder: "other" }],
  ])("is told from that of %s", async (_, own: { readonly socket?: string; readonly folder?: string }) => {
    const [live, other] = [join(folder, "live"), join(folder, "other")];
    for (const path of [live, other]) mkdirSync(path);
    openRunKeys(live, {});
    server = await open(live);
    copyFileSync(join(live, "control.keys"), join(other, "control.keys"));
    const address = JSON.parse(readFileSync(join(live, "control.json"), "utf8"));
    if (own.socket) address.socket = join(folder, own.socket);
    if (own.folder) address.folder.path = join(folder, own.folder);
    writeFileSync(join(other, "control.json"), JSON.stringify(address));
    expect(await newestRun(folder)).toBe(live);
    const order = { order: { kind: "SEED", operation: "CULL" }, seedId: "s1" } as const;
    await expect(sendCommand(join(folder, "other"), order)).rejects.toThrow(
      `no run is going on in ${join(folder, "other")}`,
    );
    await expect(readStatus(join(folder, "other"))).rejects.toThrow(/no run is going on/);
    expect(received).toHaveLength(0);
  });

  test("is still reached where its folder was moved to, as far as its socket was not in it", async () => {
    const deep = join(folder, "x".repeat(60), "y".repeat(60));
    mkdirSync(deep, { recursive: true });
    await listen(deep);
    renameSync(deep, join(folder, "moved"));
    expect(await readStatus(join(folder, "moved"))).toEqual(STATUS);
    rmSync(join(folder, "moved"), { recursive: true });
  });

  test("stands elsewhere where the folder's path is too long for a socket", async () => {
    const deep = join(folder, "x".repeat(60), "y".repeat(60));
    mkdirSync(deep, { recursive: true });
    const { socketPath } = await listen(deep);
    expect(socketPath.length).toBeLessThan(100);
    expect(await readStatus(deep)).toEqual(STATUS);
  });

  test("takes the place of a socket that a killed run left behind", async () => {
    await listen();
    const address = readFileSync(join(folder, "control.json"), "utf8");
    expect(JSON.parse(address)).toMatchObject({ run_id: "run-1", pid: process.pid });
    const second = await open(folder);
    expect(await readStatus(folder)).toEqual(STATUS);
    second.close();
  });

  test.each([
    ["no JSON", "hello\n", /not JSON/],
    ["an unknown request", '{"type":"dance"}\n', /no known kind/],
    ["an envelope that is no base64", '{"type":"command","envelope":"§"}\n', /no known kind/],
    ["an endless line", "x".repeat(MAX_LINE_BYTES + 1), /longer than/],
  ])("answers %s with an error and goes on", async (_, bytes, message) => {
    const { socketPath } = await listen();
    const answer = await new Promise<string>((done, fail) => {
      const socket = connect(socketPath, () => socket.write(bytes));
      socket.on("data", (chunk) => {
        done(chunk.toString());
        socket.destroy();
      });
      socket.on("error", fail);
    });
    expect(JSON.parse(answer)).toMatchObject({ type: "error", message: expect.stringMatching(message) });
    expect(received).toEqual([]);
    expect(await readStatus(folder)).toEqual(STATUS);
  });

  test("is not locked by connections that say nothing", async () => {
    const { socketPath } = await listen();
    const silent = Array.from({ length: 40 }, () => connect(socketPath).on("error", () => undefined));
    await Promise.all(silent.map((socket) => new Promise((done) => socket.once("connect", done))));
    expect(await readStatus(folder)).toEqual(STATUS);
    for (const socket of silent) socket.destroy();
  });

  test("ends a connection that reads none of its answers", async () => {
    const { socketPath } = await listen();
    const socket = connect(socketPath);
    const ended = new Promise((done) => socket.on("close", done));
    socket.on("error", () => undefined).pause();
    const ask = (): void => {
      if (!socket.destroyed) socket.write('{"type":"status"}\n'.repeat(64), () => setImmediate(ask));
    };
    ask();
    await ended;
    expect(await readStatus(folder)).toEqual(STATUS);
  });

  test("answers under the secret that the operator signed with, whichever the run's own is", async () => {
    writeFileSync(join(folder, "run.json"), '{"run_id":"run-1"}');
    const file = join(folder, "control.keys");
    const operator = addKey(file, 0).id;
    const operators = loadKeys(file, {});
    addKey(file, 1);
    const sealer = new Sealer(loadKeys(file, {}), "run-1");
    expect(sealer.keyId).not.toBe(operator);
    server = await ControlServer.listen({ folder, runId: "run-1", control, sealer });
    const own = JSON.parse(readFileSync(file, "utf8"));
    const keys = own.keys.filter(({ id }: { id: string }) => id === operator);
    writeFileSync(file, JSON.stringify({ active: operator, keys }), { mode: 0o600 });
    expect(operators.activeId).toBe(operator);
    const order = { kind: "PAUSE", resume: false } as const;
    expect(await sendCommand(folder, { order })).toMatchObject({ status: "refused" });
  });

  test("an answer without the run's seal is not taken for the run's", async () => {
    openRunKeys(folder, {});
    writeFileSync(join(folder, "run.json"), '{"run_id":"run-1"}');
    const sealer = new Sealer(new KeyRing([{ id: "k", secret: new Uint8Array(32) }]), "run-1");
    server = await ControlServer.listen({ folder, runId: "run-1", control, sealer });
    const order = { kind: "PAUSE", resume: false } as const;
    await expect(sendCommand(folder, { order })).rejects.toThrow(/does not bear the run's seal/);
  });

  test("a folder that says it is another run's commands nobody", async () => {
    await listen();
    writeFileSync(join(folder, "run.json"), '{"run_id":"run-2"}');
    const order = { kind: "PAUSE", resume: false } as const;
    await expect(sendCommand(folder, { order })).rejects.toThrow(/no run is going on/);
    expect(received).toEqual([]);
  });

  test.each([
    "hello",
    "{}",
    '{"type":"outcome"}',
    '{"type":"status","status":3}',
  ])("an answer of %s is one clear error", async (answer) => {
    const { socketPath } = await listen();
    server?.close();
    const impostor = createServer((socket) => void socket.end(`${answer}\n`)).listen(socketPath);
    await once(impostor, "listening");
    const stats = statSync(folder);
    const here = { path: folder, device: stats.dev, inode: stats.ino };
    const address = { socket: socketPath, run_id: "run-1", pid: 1, folder: here };
    writeFileSync(join(folder, "control.json"), JSON.stringify(address));
    await expect(readStatus(folder)).rejects.toThrow("what listens there does not answer as a run does");
    impostor.close();
  });
});
