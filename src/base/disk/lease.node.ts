/**
 * Who may write a folder: one process at a time. Under `.lease/` lies one small file a taking, named by its number; the highest
 * one says who has the folder, and whether it was given back. It is made exclusively and never removed before a higher one is
 * there, so of any number that take at once one gets the next number, and a taker that was held up finds a higher one and steps
 * back. That number is the **fence**: it only grows, and what a holder writes can bear it.
 *
 * A holder that died gives nothing back. Whether it lives is asked of the operating system where it can say
 * ({@link livenessOf}): a suspended process holds, a killed one does not, and no clock is looked at. Where it cannot say (another machine
 * at a shared folder, another container, another thread of ours) the holder's file is watched: it touches it every few seconds, and
 * has lost the folder when it did not for half a minute. Such a holder may wake up later, and must ask
 * {@link Lease.isHeld} before it writes.
 */
import { closeSync, constants, fstatSync, linkSync, openSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { utf8 } from "../bytes.js";
import { KasminaError } from "../errors.js";
import { codeOf, ioError, lstatIfThere, NO_FOLLOW, temporaryName, unlinkIfThere } from "./checked.node.js";
import { makeSubfolder, namesIn } from "./folders.node.js";
import { guaranteesOf, isLocal } from "./guarantees.node.js";
import {
  identitySchema,
  type Liveness,
  livenessOf,
  ownIdentity,
  type ProcessIdentity,
} from "./process-identity.node.js";
import { readRegularSyncIfThere } from "./read.node.js";
import { writeFileAtomicallySync } from "./write.node.js";

const LEASES = ".lease";
const NUMBER = /^[1-9]\d{0,14}$/;
const MAX_BYTES = 4_096;
/** Takings whose files are kept; see {@link removeOld}. */
const KEPT = 16;
const POLL_MS = 250;

const recordSchema = z.object({
  /** Of this taking: a holder of the same process that is not known here is another thread's. */
  token: z.string().max(40),
  holder: identitySchema,
  /** Of the holder's choice: `kasmina grow`. */
  purpose: z.string().max(200),
  /** For people. */
  since: z.string().max(40),
  /** Where the folder was, so that a copy of it is known for one. */
  folder: z.object({ path: z.string(), device: z.number(), inode: z.number() }),
  released: z.boolean(),
});
type LeaseRecord = z.infer<typeof recordSchema>;

export interface LeaseOptions {
  /** What it is taken for, shown to whoever wants it meanwhile: `kasmina grow`. */
  readonly purpose: string;
  /** Default 5 s. */
  readonly renewMs?: number;
  /** How long a holder that cannot be asked after may be silent. Default 30 s. */
  readonly silentMs?: number;
  /** Default: this process. */
  readonly identity?: ProcessIdentity;
}

/** Why a folder could not be had. */
export interface Held {
  readonly held: true;
  /** One line: who holds it, since when. */
  readonly by: string;
}

/** The lease of a folder, until it is released or its holder ends. */
export interface Lease {
  readonly held: false;
  /** Grows with each taking of the folder. */
  readonly fence: number;
  /** Whether nobody has taken the folder since. Cheap: ask before what must not be written twice. */
  isHeld(): boolean;
  /** Shows those who watch that the holder lives; done on a timer too. */
  renew(): void;
  /** Gives the folder back. May be called again. */
  release(): void;
}

/** Tokens of the leases of this thread. */
const ours = new Set<string>();

/**
 * Takes a folder that is there.
 * @throws KasminaError `io` where the lease cannot be written, `corrupt` where `.lease` is no folder of that kind
 */
export async function acquireLease(folder: string, options: LeaseOptions): Promise<Lease | Held> {
  const leases = new LeaseFolder(folder, options);
  await leases.make();
  for (;;) {
    const latest = await leases.latest();
    const holder = latest && (await leases.holderOf(latest));
    if (holder !== undefined) return { held: true, by: holder };
    const fence = (latest?.number ?? 0) + 1;
    if (!leases.claim(fence)) continue;
    if ((await leases.highest()) !== fence) {
      leases.giveUp(fence);
      continue;
    }
    await leases.removeOld(fence);
    return new HeldLease(leases, fence, options.renewMs ?? 5_000);
  }
}

class HeldLease implements Lease {
  readonly held = false;
  readonly fence: number;
  readonly #leases: LeaseFolder;
  readonly #timer: ReturnType<typeof setInterval>;
  #released = false;

  constructor(leases: LeaseFolder, fence: number, renewMs: number) {
    this.#leases = leases;
    this.fence = fence;
    this.#timer = setInterval(() => this.renew(), renewMs);
    this.#timer.unref();
  }

  isHeld(): boolean {
    return !this.#released && lstatIfThere(this.#leases.pathOf(this.fence + 1)) === undefined;
  }

  renew(): void {
    if (!this.#released) this.#leases.touch(this.fence);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#timer);
    this.#leases.giveBack(this.fence);
  }
}

interface Latest {
  readonly number: number;
  readonly record: LeaseRecord | undefined;
}

class LeaseFolder {
  readonly token: string = globalThis.crypto.randomUUID();
  readonly #folder: string;
  readonly #path: string;
  readonly #options: LeaseOptions;
  readonly #identity: ProcessIdentity;

  constructor(folder: string, options: LeaseOptions) {
    this.#folder = folder;
    this.#path = join(folder, LEASES);
    this.#options = options;
    this.#identity = options.identity ?? ownIdentity();
  }

  pathOf(number: number): string {
    return join(this.#path, String(number));
  }

  async make(): Promise<void> {
    await makeSubfolder(this.#path);
  }

  async highest(): Promise<number> {
    const numbers = (await namesIn(this.#path)).filter((name) => NUMBER.test(name)).map(Number);
    return numbers.reduce((a, b) => Math.max(a, b), 0);
  }

  async latest(): Promise<Latest | undefined> {
    const number = await this.highest();
    return number === 0 ? undefined : { number, record: this.#read(number) };
  }

  /** Who has the folder, in words; undefined where nobody does. */
  async holderOf(latest: Latest): Promise<string | undefined> {
    const liveness = this.#liveness(latest);
    if (liveness === "dead") return undefined;
    if (liveness === "unknown" && (await this.#isSilent(latest.number))) return undefined;
    return describe(latest.record, liveness);
  }

  /** Makes the file of a number, whole; false where somebody was faster. */
  claim(number: number): boolean {
    const place = this.pathOf(number);
    const bytes = this.#bytes(false);
    const temporary = temporaryName(place);
    // Before anybody can see it: this thread must know its own.
    ours.add(this.token);
    try {
      if (!guaranteesOf(this.#folder).links) return createExclusively(place, bytes);
      writeFileAtomicallySync(temporary, bytes);
      linkSync(temporary, place);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw ioError(place, error);
    } finally {
      unlinkIfThere(temporary);
    }
  }

  giveUp(number: number): void {
    ours.delete(this.token);
    unlinkIfThere(this.pathOf(number));
  }

  giveBack(number: number): void {
    ours.delete(this.token);
    try {
      if (lstatIfThere(this.pathOf(number))) writeFileAtomicallySync(this.pathOf(number), this.#bytes(true));
    } catch {
      // The folder is gone, or can be written no more: the end of this process gives it back as well.
    }
  }

  touch(number: number): void {
    const now = new Date();
    try {
      utimesSync(this.pathOf(number), now, now);
    } catch {
      // Whoever may take the folder then asks the operating system, or finds this holder silent.
    }
  }

  /**
   * Removes the files of takings long past. A taker that was held up between looking and claiming may find the number free that
   * it saw as the next one, and must then see a higher one beside it: so the latest stay.
   */
  async removeOld(fence: number): Promise<void> {
    for (const name of await namesIn(this.#path))
      if (NUMBER.test(name) && Number(name) <= fence - KEPT) unlinkIfThere(join(this.#path, name));
  }

  #liveness({ record }: Latest): Liveness {
    // Made a moment ago on a file system without links, or not by us: watched for a while.
    if (record === undefined) return "unknown";
    if (record.released || this.#isCopied(record)) return "dead";
    const own = this.#identity;
    const liveness = livenessOf(record.holder, own, isLocal(this.#folder));
    const isOurProcess = record.holder.pid === own.pid && liveness === "alive";
    return isOurProcess && !ours.has(record.token) ? "unknown" : liveness;
  }

  /** A copy of a folder that is in use is in use by nobody; a folder that was moved is still the same. */
  #isCopied({ folder }: LeaseRecord): boolean {
    const here = lstatIfThere(this.#folder);
    return folder.path !== this.#folder && (here?.ino !== folder.inode || here.dev !== folder.device);
  }

  async #isSilent(number: number): Promise<boolean> {
    const { silentMs = 30_000 } = this.#options;
    const before = this.#touched(number);
    const end = performance.now() + silentMs;
    while (performance.now() < end) {
      await new Promise<void>((done) => setTimeout(done, Math.min(POLL_MS, silentMs)));
      if (this.#touched(number) !== before) return false;
    }
    return true;
  }

  /** When a file was touched last, as its file system says now: opening it asks a server that a look at the name does not. */
  #touched(number: number): number {
    try {
      const file = openSync(this.pathOf(number), constants.O_RDONLY | NO_FOLLOW);
      try {
        return fstatSync(file).mtimeMs;
      } finally {
        closeSync(file);
      }
    } catch {
      return 0;
    }
  }

  #read(number: number): LeaseRecord | undefined {
    const bytes = readRegularSyncIfThere(this.pathOf(number), { maxBytes: MAX_BYTES });
    try {
      return recordSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
    } catch {
      return undefined;
    }
  }

  #bytes(released: boolean): Uint8Array {
    const stats = lstatIfThere(this.#folder);
    const record: LeaseRecord = {
      token: this.token,
      holder: this.#identity,
      purpose: this.#options.purpose,
      since: new Date().toISOString(),
      folder: { path: this.#folder, device: stats?.dev ?? 0, inode: stats?.ino ?? 0 },
      released,
    };
    return utf8(`${JSON.stringify(record)}\n`);
  }
}

function createExclusively(path: string, bytes: Uint8Array): boolean {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, 0o600);
  closeSync(file);
  writeFileAtomicallySync(path, bytes);
  return true;
}

function describe(record: LeaseRecord | undefined, liveness: Liveness): string {
  if (record === undefined) return "a process that does not say who it is";
  const { holder, purpose, since } = record;
  const state = liveness === "suspended" ? `, suspended (kill -CONT ${holder.pid} wakes it up)` : "";
  return `process ${holder.pid} on ${printable(holder.host)} (${printable(purpose)}) since ${printable(since)}${state}`;
}

/** What another process wrote is shown without what a terminal would obey. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 100);
}

/** The error of whoever comes second. */
export function heldError(what: string, { by }: Held): KasminaError {
  return new KasminaError("invalid_argument", `${what} is in use by ${by}`);
}
