/** The progress bar of a growth run on a terminal, with the run's lines above it. */
import { MultiBar, type Options, type Params, type SingleBar } from "cli-progress";
import type { Phase, SeedProgress, StepLine } from "../weatherlight/growth-lines.js";
import { describeLine, PHASE_NAMES } from "./describe-line.js";
import { formatDuration } from "./growth-report.js";
import type { GrowthView } from "./growth-view.js";
import { type Io, wantsColor } from "./io.js";
import { type Paint, painter, stageStyle } from "./paint.js";

const BAR_COLUMNS = 24;
const FRAMES_PER_SECOND = 10;

/** Stages that only a graveyard needs: they are in the report, not in the bar. */
const GONE: ReadonlySet<string> = new Set(["DORMANT", "CULLED", "EMBARGOED", "RESETTING", "TERMINATED"]);

export function barView(io: Io): GrowthView {
  const paint = painter(wantsColor(io, io.stderr));
  const bars = new MultiBar({
    stream: io.stderr as NodeJS.WritableStream,
    format: (options, params, payload: { line: StepLine }) => formatBar(options, params, payload.line, paint),
    clearOnComplete: true,
    hideCursor: true,
    fps: FRAMES_PER_SECOND,
    etaBuffer: 40,
    // It would end the process in a SIGINT handler of its own.
    gracefulExit: false,
  });
  let bar: { readonly single: SingleBar; readonly phase: Phase } | undefined;
  const showStep = (line: StepLine): void => {
    if (bar?.phase !== line.phase) {
      if (bar) bars.remove(bar.single);
      bar = { phase: line.phase, single: bars.create(line.steps_total, line.step, { line }) };
    }
    bar.single.update(line.step, { line });
  };
  const print = (text: string): void => {
    if (bars.isActive) bars.log(`${text}\n`);
    else io.stderr.write(`${text}\n`);
  };
  return {
    show(line) {
      if (line.type === "step") return showStep(line);
      const text = describeLine(line, paint);
      if (text !== undefined) print(text);
    },
    say: (text) => print(paint("yellow", text)),
    end() {
      // Writes the lines that wait for the next frame; stop() would drop them.
      if (bars.isActive) bars.update();
      bars.stop();
    },
  };
}

function formatBar(_: Options, params: Params, line: StepLine, paint: Paint): string {
  const filled = Math.round(params.progress * BAR_COLUMNS);
  const bar = paint("cyan", "━".repeat(filled)) + paint("dim", "─".repeat(BAR_COLUMNS - filled));
  const percent = `${Math.floor(100 * params.progress)}%`.padStart(4);
  const eta = Number.isFinite(params.eta) ? `  ETA ${formatDuration(params.eta)}` : "";
  const facts = `${percent}  epoch ${line.epoch}  loss ${line.loss.toFixed(4)}`;
  return `${PHASE_NAMES[line.phase]} ${bar}${facts}${paint("dim", eta)}${formatSeeds(line.seeds, paint)}`;
}

function formatSeeds(seeds: readonly SeedProgress[], paint: Paint): string {
  return seeds
    .filter((seed) => !GONE.has(seed.stage))
    .map((seed) => `  ${seed.id} ${paint(stageStyle(seed.stage), seed.stage)} α ${seed.alpha.toFixed(2)}`)
    .join("");
}
