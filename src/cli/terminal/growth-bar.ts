/** The progress bar of a growth run on a terminal, with the run's lines above it. */

import { MultiBar, type Options, type Params, type SingleBar } from "cli-progress";
import { isGrowing } from "../../contracts/index.js";
import type { Phase, SeedProgress, StepLine } from "../../weatherlight/folder/growth-lines.js";
import { describeLine, PHASE_NAMES } from "./describe-line.js";
import { formatDuration } from "./growth-report.js";
import type { GrowthView } from "./growth-view.js";
import { type Io, wantsColor } from "./io.js";
import { type Paint, painter, stageStyle } from "./text.js";

/** Of the bar itself; a narrow terminal gets a short one, so that the text beside it has room. */
const BAR_COLUMNS = { min: 6, max: 24 };
const TEXT_COLUMNS = 74;
const FRAMES_PER_SECOND = 10;

export function barView(io: Io): GrowthView {
  const paint = painter(wantsColor(io, io.stderr));
  const bars = new MultiBar({
    stream: io.stderr as NodeJS.WritableStream,
    format: (_: Options, params: Params, payload: { line: StepLine }) =>
      formatBar(params, payload.line, barColumns(io), paint),
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

function barColumns(io: Io): number {
  const room = (io.stderr.columns ?? 80) - TEXT_COLUMNS;
  return Math.min(BAR_COLUMNS.max, Math.max(BAR_COLUMNS.min, room));
}

function formatBar(params: Params, line: StepLine, columns: number, paint: Paint): string {
  const filled = Math.round(params.progress * columns);
  const bar = paint("cyan", "━".repeat(filled)) + paint("dim", "─".repeat(columns - filled));
  const percent = `${Math.floor(100 * params.progress)}%`.padStart(4);
  const eta = Number.isFinite(params.eta) ? `  ETA ${formatDuration(params.eta)}` : "";
  const facts = `${percent}  epoch ${line.epoch}  loss ${line.loss.toFixed(4)}`;
  return `${PHASE_NAMES[line.phase]} ${bar}${facts}${paint("dim", eta)}${formatSeeds(line.seeds, paint)}`;
}

/** Seeds that still change; what became of the others stands above the bar and in the report. */
function formatSeeds(seeds: readonly SeedProgress[], paint: Paint): string {
  return seeds
    .filter((seed) => isGrowing(seed.stage))
    .map((seed) => `  ${seed.id} ${paint(stageStyle(seed.stage), seed.stage)} α ${seed.alpha.toFixed(2)}`)
    .join("");
}
