/** A run in a thread of its own on a bus: the link to the bus, on the thread that has time for it, and the port to the trainer. */
import { resolve } from "node:path";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { hasFolder } from "../../base/disk/index.node.js";
import { KasminaError } from "../../base/index.js";
import { type BusNotice, RedisStreamsBus } from "../../oona/index.node.js";
import { BusLink } from "../control/bus-link.js";
import { sharedKeys } from "../control/run-keys.js";
import { runFileOf } from "../folder/run-file.js";
import { readRunFolder } from "../folder/run-folder.js";
import { servePort } from "../kernels/port-messages.js";
import type { BusMessage, TrainerBusMessage } from "./port-commands.js";

/** The bus that a run joins. */
export interface RunBus {
  /** `redis://…` or `rediss://…`. */
  readonly url: string;
  /** Before every key in Redis. Default `oona`. */
  readonly prefix?: string;
  /** Receives one line about the bus. Must not throw. */
  readonly onNotice?: (text: string) => void;
}

/** Beside the run's folder, which the run itself makes. */
const OUTBOX = ".outbox";

interface JoinedParts {
  readonly bus: RedisStreamsBus;
  readonly link: BusLink;
  readonly own: MessagePort;
  readonly port: MessagePort;
  readonly folder: string;
  readonly catalog: ReturnType<typeof servePort> | undefined;
}

export class JoinedBus {
  /** For the trainer's thread. */
  readonly port: MessagePort;
  /** For the thread of its kernels, where the run asks the catalog service. */
  readonly catalog: { readonly catalogPort?: MessagePort };
  readonly #closeCatalog: () => Promise<void>;
  readonly #own: MessagePort;
  readonly #bus: RedisStreamsBus;
  readonly #link: BusLink;
  /** Of the run. */
  readonly #folder: string;

  /**
   * @param options those of the run
   * Rejects with KasminaError `invalid_argument` where the run has no folder or the keys are not given, `unavailable` where
   * the bus cannot be reached.
   */
  static async join({ url, prefix, onNotice }: RunBus, options: unknown): Promise<JoinedBus> {
    const { runId, folder, remotePolicy, catalogService } = await runOf(options);
    const keys = sharedKeys();
    const bus = await RedisStreamsBus.open({
      ...{ url, name: "trainer" },
      ...(prefix !== undefined && { prefix }),
      onNotice: (notice) => onNotice?.(describe(notice)),
    });
    const { port1, port2 } = new MessageChannel();
    const post = (message: BusMessage): void => port1.postMessage(message);
    try {
      const link = await BusLink.open({
        ...{ bus, keys, trainingRunId: runId, remotePolicy, outboxFolder: `${resolve(folder)}${OUTBOX}` },
        onCommand: ({ entryId, envelope }) => post({ kind: "command", entryId, envelope }),
        onMissing: (missing) => post({ kind: "missing", missing }),
        ...(onNotice && { onProblem: onNotice }),
      });
      const catalog = catalogService ? servePort(link.messages) : undefined;
      return new JoinedBus({ bus, link, own: port1, port: port2, folder, catalog });
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  private constructor({ bus, link, own, port, folder, catalog }: JoinedParts) {
    this.catalog = catalog ? { catalogPort: catalog.port } : {};
    this.#closeCatalog = async () => catalog?.close();
    this.#bus = bus;
    this.#folder = folder;
    this.#link = link;
    this.#own = own;
    this.port = port;
    own.on("message", (message: TrainerBusMessage) => this.#receive(message));
  }

  /** @param ended whether the run is over for good; one that never came to have a folder is */
  async leave(ended: boolean): Promise<void> {
    for (let got = receiveMessageOnPort(this.#own); got; got = receiveMessageOnPort(this.#own))
      this.#receive(got.message as TrainerBusMessage);
    this.#own.close();
    await this.#closeCatalog();
    await this.#link.close({ ended: ended || !hasFolder(this.#folder) });
    await this.#bus.close();
  }

  #receive(message: TrainerBusMessage): void {
    switch (message.kind) {
      case "state":
        this.#link.sendState(message.state);
        break;
      case "packet":
        this.#link.sendPacket(message.packet);
        break;
      case "outcome":
        this.#link.answer(message.entryId, message.outcome);
        break;
      default:
        message satisfies never;
    }
  }
}

async function runOf(options: unknown) {
  const { runId, runDir, resume, policy, catalogService } = options as Readonly<Record<string, unknown>>;
  if (typeof resume === "string") {
    const { path, about } = await readRunFolder(resume);
    const { run_id, config } = runFileOf(about, path);
    const isRemote = config.policy === REMOTE;
    return { runId: run_id, folder: path, remotePolicy: isRemote, catalogService: config.catalogService };
  }
  if (typeof runId === "string" && typeof runDir === "string")
    return { runId, folder: runDir, remotePolicy: policy === REMOTE, catalogService };
  throw new KasminaError("invalid_argument", "a run on a bus needs a run id and a run folder");
}

/** What `policy` says where it is decided elsewhere. */
const REMOTE = "remote";

function describe(notice: BusNotice): string {
  switch (notice.kind) {
    case "down":
      return `the bus is away: ${notice.reason}`;
    case "up":
      return "the bus is there";
    case "healed":
      return `the bus had been emptied of ${notice.topic}`;
    case "lost":
      return `CRITICAL: the bus lost ${notice.entryIds.join(", ")} of ${notice.topic}`;
    case "skew": {
      const seconds = Math.round(Math.abs(notice.aheadMs) / 1_000);
      const where = notice.aheadMs > 0 ? "ahead of" : "behind";
      return `WARNING: this machine's clock is ${seconds} s ${where} Redis's; machines whose clocks differ by more than 5 s refuse each other's commands`;
    }
    case "problem":
      return `the bus: ${notice.reason}`;
  }
}
