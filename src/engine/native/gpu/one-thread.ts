/**
 * Keeps the device to one thread of the process: two at work on the WebGPU provider of ONNX Runtime 1.30 end the process. Threads
 * share no variable that was not handed to them, so what is held is a socket whose name only one of them can take; the system
 * takes it back when the process ends, however it ends.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { ownIdentity } from "../../../base/disk/index.node.js";
import { KasminaError } from "../../../base/errors.js";

interface Held {
  readonly server: Promise<Server>;
  users: number;
}

/**
 * What this thread holds; it may open several back ends, which take turns by themselves. With the thread's globals, for a thread may
 * have loaded this file twice: two installed copies of the package, or sources and what was built from them.
 */
const HELD = Symbol.for("kasmina: the device of this thread");
const CLOSING = Symbol.for("kasmina: the device of this thread, given back");
const thread = globalThis as { [HELD]?: Held | undefined; [CLOSING]?: Promise<unknown> };

/**
 * Takes the device for this thread.
 * @returns gives it back; the last one does
 * @throws KasminaError `engine` where another thread of the process has it
 */
export async function takeDevice(): Promise<() => Promise<void>> {
  const taken = thread[HELD] ?? { server: Promise.resolve(thread[CLOSING]).then(listen), users: 0 };
  thread[HELD] = taken;
  taken.users++;
  const release = async (): Promise<void> => {
    if (--taken.users > 0) return;
    if (thread[HELD] === taken) thread[HELD] = undefined;
    thread[CLOSING] = taken.server
      .catch(() => undefined)
      .then((server) => server?.listening && new Promise((done) => server.close(done)));
    await thread[CLOSING];
  };
  try {
    await taken.server;
    return release;
  } catch (error) {
    await release();
    throw error;
  }
}

async function listen(): Promise<Server> {
  const server = createServer();
  const name = socketName();
  if (name === undefined) return server;
  try {
    server.listen(name);
    await once(server, "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new KasminaError(
      "engine",
      "another thread of this process uses the GPU, and two at once would end it: open one gpu engine, or dispose of the other first",
      { cause: error },
    );
  }
  server.unref();
  return server;
}

/** A name that is in no folder and that no other process takes; undefined on a system that has none. */
function socketName(): string | undefined {
  const { boot, namespace, pid, start } = ownIdentity();
  const digest = createHash("sha256")
    .update(JSON.stringify([boot, namespace, pid, start]))
    .digest("hex");
  const name = `kasmina-gpu-${digest.slice(0, 32)}`;
  if (process.platform === "linux") return `\0${name}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : undefined;
}
