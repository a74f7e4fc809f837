/** The processes of a measurement across machines: one Redis, the services of the command line, and trainers, each on its own. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const kasmina = new URL("../../../bin/kasmina.mjs", import.meta.url).pathname;
const trainers = new URL("./trainers.js", import.meta.url).pathname;
const START_MS = 30_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

/** What a process has used so far. */
export interface Usage {
  /** Of its main thread and all others. */
  readonly cpuS: number;
  /** Resident. */
  readonly memoryMb: number;
}

/** Of a process on Linux; undefined elsewhere, or where it is gone. */
function usageOf(child: ChildProcess | undefined): Usage | undefined {
  try {
    const read = (name: string): string => readFileSync(`/proc/${child?.pid}/${name}`, "utf8");
    // After the name, which may hold anything: state is field 3, user and system time 14 and 15, in hundredths of a second.
    const fields = read("stat")
      .replace(/^.*\) /s, "")
      .split(" ");
    const [, pages] = read("statm").split(" ");
    return {
      cpuS: (Number(fields[11]) + Number(fields[12])) / 100,
      memoryMb: (Number(pages) * 4_096) / 2 ** 20,
    };
  } catch {
    return undefined;
  }
}

/** Stops with what started it. */
export class Redis {
  readonly #port: number;
  readonly #folder: string;
  readonly #fsync: string;
  #child: ChildProcess | undefined;

  /** @param fsync `appendfsync` of Redis */
  constructor(port: number, folder: string, fsync: string) {
    this.#port = port;
    this.#folder = folder;
    this.#fsync = fsync;
  }

  get usage(): Usage | undefined {
    return usageOf(this.#child);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** With the other settings that docs/deployment.md asks for. */
  async start(): Promise<void> {
    const settings = "--bind 127.0.0.1 --appendonly yes --maxmemory-policy noeviction --appendfsync";
    const args = [
      "--port",
      String(this.#port),
      "--dir",
      this.#folder,
      "--save",
      "",
      ...settings.split(" "),
      this.#fsync,
    ];
    this.#child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
    const { stdout } = this.#child;
    if (!stdout) throw new Error("redis-server has no output");
    await until(
      "redis-server to start",
      new Promise<void>((resolve, reject) => {
        this.#child?.once("error", reject);
        stdout.on("data", (data) => String(data).includes("Ready to accept") && resolve());
      }),
    );
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }
}

/** One `kasmina serve …`: each line that it prints, and where it says how it is. */
export class ServiceProcess {
  readonly #child: ChildProcess;
  readonly #health: Promise<string>;

  constructor(
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    onLine: (line: Record<string, unknown>) => void,
  ) {
    this.#child = spawn(process.execPath, [kasmina, "serve", ...args, "--json"], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (!stdout) throw new Error("the service has no output");
    const ready = new Promise<string>((resolve) => {
      createInterface({ input: stdout }).on("line", (text) => {
        const line = JSON.parse(text) as Record<string, unknown>;
        if (line.type === "ready") resolve(String(line.health));
        else onLine(line);
      });
    });
    this.#health = until(`serve ${args[0]} to start`, ready);
  }

  get usage(): Usage | undefined {
    return usageOf(this.#child);
  }

  async ready(): Promise<void> {
    await this.#health;
  }

  async status(): Promise<Record<string, unknown>> {
    const response = await fetch(`${await this.#health}/status`);
    return (await response.json()) as Record<string, unknown>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGTERM");
    await once(this.#child, "exit");
  }
}

/** One process of simulated trainers (trainers.ts). */
export class TrainersProcess {
  readonly #child: ChildProcess;
  readonly #answers: unknown[] = [];
  #wake: () => void = () => undefined;

  constructor(start: object) {
    this.#child = fork(trainers, [JSON.stringify(start)]);
    this.#child.on("message", (answer) => {
      this.#answers.push(answer);
      this.#wake();
    });
  }

  get usage(): Usage | undefined {
    return usageOf(this.#child);
  }

  tell(what: object): void {
    this.#child.send(what);
  }

  async heard<T>(): Promise<T> {
    const waited = (async () => {
      while (this.#answers.length === 0)
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      return this.#answers.shift() as T;
    })();
    return until("trainers to answer", waited, 120_000);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill();
    await once(this.#child, "exit");
  }
}

async function until<T>(what: string, work: Promise<T>, ms = START_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
