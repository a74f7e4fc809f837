/** A headless Chromium, driven over its debugging pipe: no library, no port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { findTool } from "../../src/base/tools.fixture.js";

export const chromium = findTool("chromium", [
  process.env.CHROMIUM ?? "chromium",
  "chromium-browser",
  "google-chrome",
]);

/** Windows' virtual key codes, and what the key writes. */
const KEYS = { Tab: [9, ""], Enter: [13, "\r"], Escape: [27, ""], Space: [32, " "] } as const;

interface Message {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** One page of a browser of its own. */
export class BrowserPage {
  readonly #send: Writable;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #end: () => Promise<void>;
  #session = "";
  #last = 0;

  private constructor(send: Writable, receive: Readable, end: () => Promise<void>) {
    this.#send = send;
    this.#end = end;
    let rest = "";
    receive.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\0");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const message = JSON.parse(part) as Message;
        this.#waiting.get(message.id ?? 0)?.(message);
      }
    });
  }

  /** @param more flags of its command line */
  static async open(browser: string, more: readonly string[] = []): Promise<BrowserPage> {
    const profile = mkdtempSync(join(tmpdir(), "kasmina-browser-"));
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"];
    const child = spawn(browser, [...flags, ...more, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      detached: true,
    });
    const exited = once(child, "exit");
    const page = new BrowserPage(child.stdio[3] as Writable, child.stdio[4] as Readable, async () => {
      // With the processes that it has started: they write into its profile.
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      await exited;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 300 });
    });
    const { targetInfos } = (await page.#call("Target.getTargets")) as {
      targetInfos: { type: string; targetId: string }[];
    };
    const targetId = targetInfos.find(({ type }) => type === "page")?.targetId;
    const attached = await page.#call("Target.attachToTarget", { targetId, flatten: true });
    page.#session = String(attached.sessionId);
    return page;
  }

  close(): Promise<void> {
    return this.#end();
  }

  async goto(url: string): Promise<void> {
    await this.#call("Page.navigate", { url });
    await this.until(
      `location.href.startsWith(${JSON.stringify(url.split("#")[0])}) && document.readyState === "complete"`,
    );
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.#call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    const { result, exceptionDetails } = answer as {
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? "the page threw");
    return result.value;
  }

  /** Waits until an expression is true in the page, and says what it was where it does not become so. */
  async until(expression: string, withinMs = 120_000): Promise<void> {
    for (const end = Date.now() + withinMs; ; ) {
      const is = await this.evaluate<boolean>(`Boolean(${expression})`).catch(() => false);
      if (is) return;
      if (Date.now() > end) throw new Error(`did not become true: ${expression}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  /** Presses a key as a person does: Tab, Enter, Escape, Space. */
  async key(name: keyof typeof KEYS): Promise<void> {
    const [code, text] = KEYS[name];
    const key = { key: name === "Space" ? " " : name, code: name, windowsVirtualKeyCode: code };
    await this.#call("Input.dispatchKeyEvent", {
      type: text === "" ? "rawKeyDown" : "keyDown",
      text,
      ...key,
    });
    await this.#call("Input.dispatchKeyEvent", { type: "keyUp", ...key });
  }

  async look(width: number, theme: "light" | "dark"): Promise<void> {
    await this.#call("Emulation.setDeviceMetricsOverride", {
      width,
      height: 1100,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await this.#call("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: theme }],
    });
  }

  /** What the page's scripts hold, once the garbage is collected. */
  async heapBytes(): Promise<number> {
    await this.#call("HeapProfiler.collectGarbage");
    return Number((await this.#call("Runtime.getHeapUsage")).usedSize);
  }

  /** A PNG of what is in view. */
  async picture(): Promise<Uint8Array> {
    const { data } = await this.#call("Page.captureScreenshot");
    return Buffer.from(String(data), "base64");
  }

  async #call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    const session = this.#session === "" ? {} : { sessionId: this.#session };
    const answered = new Promise<Message>((done) => this.#waiting.set(id, done));
    this.#send.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    const { result, error } = await answered;
    this.#waiting.delete(id);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }
}
