/** How a growth run is shown while it goes on: JSON lines, plain lines, lines above a bar, or not at all. */
import { printable } from "../../base/index.js";
import type { GrowthLine } from "../../weatherlight/folder/growth-lines.js";
import { describeLine } from "./describe-line.js";
import { type Io, say, wantsColor } from "./io.js";
import { painter } from "./text.js";

export interface GrowthView {
  show(line: GrowthLine): void;
  /** A word to the person at the terminal. */
  say(text: string): void;
  /** Clears what is not to stay on the screen. May be called again. */
  end(): void;
}

/** The view of that kind; `bar` makes the one for a terminal on stderr, where it is drawn. */
export async function createGrowthView(
  io: Io,
  flags: { readonly json: boolean; readonly quiet: boolean },
  bar: () => Promise<GrowthView>,
): Promise<GrowthView> {
  if (flags.json) return jsonView(io, flags.quiet);
  if (flags.quiet) return quietView(io);
  return io.stderr.isTTY && io.env.TERM !== "dumb" ? bar() : plainView(io);
}

function quietView(io: Io): GrowthView {
  return {
    show(line) {
      if (line.type === "notice" && line.always) io.stderr.write(`${printable(line.text)}\n`);
    },
    say: () => undefined,
    end: () => undefined,
  };
}

function jsonView(io: Io, quiet: boolean): GrowthView {
  const note = (text: string): void => {
    if (!quiet) say(io, text);
  };
  return {
    show(line) {
      if (line.type === "notice") note(line.text);
      else io.stdout.write(`${JSON.stringify(line)}\n`);
    },
    say: note,
    end: () => undefined,
  };
}

function plainView(io: Io): GrowthView {
  const paint = painter(wantsColor(io, io.stderr));
  return {
    show(line) {
      const text = describeLine(line, paint);
      if (text !== undefined) io.stderr.write(`${text}\n`);
    },
    say: (text) => say(io, text),
    end: () => undefined,
  };
}
