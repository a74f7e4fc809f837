/**
 * Hugging Face's package in a thread of its own, where this is Node: a `tokenizer.json` holds regular expressions, and of one made for it the
 * engine tries for ever. Who asks the thread waits for its answer, as for a function's, but only so long; then the thread is ended.
 */
import type { MessagePort, Worker } from "node:worker_threads";

const threads = globalThis.process?.getBuiltinModule?.("worker_threads");
const modules = globalThis.process?.getBuiltinModule?.("module");

/** How long an answer may take: at once, and for each character or token of what is asked. */
const PATIENCE_MS = 500;
const PATIENCE_MS_A_UNIT = 0.006;
/** Until the thread has loaded the package. */
const PATIENCE_TO_START_MS = 10_000;
/** What the thread may hold. */
const MAX_HEAP_MIB = 4_096;
/** Tokenizers that are open at once; one more takes the place of the one that was opened first. */
const OPEN_MAX = 8;

/** What a tokenizer's file makes of texts and tokens. */
export interface Codec {
  /** One more than its largest token. */
  readonly size: number;
  readonly encode: (text: string) => readonly number[];
  readonly decode: (tokens: readonly number[]) => string;
}

type Question =
  /** `instead`: of another one, which is closed. */
  | {
      readonly kind: "open";
      readonly id: number;
      readonly json: string;
      readonly instead: number | undefined;
    }
  | { readonly kind: "encode"; readonly id: number; readonly text: string }
  | { readonly kind: "decode"; readonly id: number; readonly tokens: readonly number[] };
type Answer = { readonly value: unknown } | { readonly problem: string };

/** What runs in the thread, as text: it may use nothing from outside itself. */
function answering({ Tokenizer }: typeof import("@huggingface/tokenizers")) {
  const opened = new Map<number, InstanceType<typeof Tokenizer>>();
  return (question: Question): unknown => {
    if (question.kind === "open") {
      if (question.instead !== undefined) opened.delete(question.instead);
      const tokenizer = new Tokenizer(JSON.parse(question.json), {});
      opened.set(question.id, tokenizer);
      let size = 0;
      for (const token of tokenizer.get_vocab().values()) size = Math.max(size, token + 1);
      return size;
    }
    const tokenizer = opened.get(question.id);
    if (question.kind === "encode")
      return tokenizer?.encode(question.text, { add_special_tokens: false }).ids;
    return tokenizer?.decode([...question.tokens], { clean_up_tokenization_spaces: false });
  };
}

const PROGRAM = `
const { workerData: { place, port, signal } } = process.getBuiltinModule("worker_threads");
const load = process.getBuiltinModule("module").createRequire(place);
const tell = (answer) => {
  port.postMessage(answer);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
};
const attempt = (action) => {
  try {
    return { value: action() };
  } catch (error) {
    return { problem: String(error?.message ?? error) };
  }
};
const start = attempt(() => (${answering.toString()})(load(place)));
port.on("message", (question) => {
  tell(attempt(() => start.value(question)));
});
tell(attempt(() => typeof start.value));
`;

class Thread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  /** 1 when an answer has come. */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  readonly #open = new Set<number>();
  isOver = false;

  /** @param place of the package */
  constructor({ Worker, MessageChannel }: NonNullable<typeof threads>, place: string) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { place, port: port2, signal: this.#signal },
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    // Whoever waits for an answer hears that none comes.
    this.#worker.on("error", () => this.#end());
    this.#worker.unref();
    this.#answer(PATIENCE_TO_START_MS);
  }

  /** @returns the size of a tokenizer that was not open, undefined of one that is */
  open(id: number, json: string): number | undefined {
    if (this.#open.has(id)) return undefined;
    const [oldest] = this.#open;
    const instead = this.#open.size >= OPEN_MAX ? oldest : undefined;
    if (instead !== undefined) this.#open.delete(instead);
    const size = Number(this.ask({ kind: "open", id, json, instead }, json.length));
    this.#open.add(id);
    return size;
  }

  ask(question: Question, units: number): unknown {
    Atomics.store(this.#signal, 0, 0);
    this.#port.postMessage(question);
    return this.#answer(PATIENCE_MS + PATIENCE_MS_A_UNIT * units);
  }

  #answer(patienceMs: number): unknown {
    if (Atomics.wait(this.#signal, 0, 0, patienceMs) === "timed-out") {
      this.#end();
      throw new Error("it takes for ever, or more memory than there is: it is damaged, or made to");
    }
    const answer = threads?.receiveMessageOnPort(this.#port)?.message as Answer | undefined;
    if (!answer || "problem" in answer) throw new Error(answer?.problem ?? "it gives no answer");
    return answer.value;
  }

  #end(): void {
    this.isOver = true;
    void this.#worker.terminate();
  }
}

/** One for all tokenizers: each is opened again where another one has ended it. */
let shared: Thread | undefined;
let lastId = 0;

/**
 * Opens a file in the thread; undefined where there are no threads of Node's.
 * @param name of the package
 * @throws Error saying what is wrong with the file
 */
export function openInThread(name: string, json: string): Codec | undefined {
  if (!threads || !modules) return undefined;
  const node = threads;
  const place = modules.createRequire(import.meta.url).resolve(name);
  const id = ++lastId;
  let size = 0;
  const thread = (): Thread => {
    if (!shared || shared.isOver) shared = new Thread(node, place);
    size = shared.open(id, json) ?? size;
    return shared;
  };
  thread();
  return {
    size,
    encode: (text) => tokensIn(thread().ask({ kind: "encode", id, text }, text.length)),
    decode: (tokens) => String(thread().ask({ kind: "decode", id, tokens }, tokens.length)),
  };
}

/** Of some files the package makes what are no tokens. */
function tokensIn(value: unknown): readonly number[] {
  if (!Array.isArray(value)) throw new Error("it makes no tokens of a text");
  return value;
}
