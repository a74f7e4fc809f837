/** The network as it stands at a step: its blocks, and the seeds as branches at their slots. */
import { isLiving, isRemoved, type Stage, TASK_TRAITS } from "../../contracts/index.js";
import type { RunHistory, SeedTrack } from "./history.js";
import { stageColor } from "./stage-chart.js";
import { element, escapeText } from "./svg.js";

const WIDTH = 620;
const BLOCK = { x: 10, width: 170, height: 34 } as const;
const SEED_X = 250;
const ROW = 54;
/** Of a branch, at alpha 0 and what alpha 1 adds. */
const BRANCH = { least: 1.5, more: 7 } as const;

interface Branch {
  readonly seed: SeedTrack;
  readonly stage: Stage;
  readonly alpha: number;
}

/** @param blocks names in order; slots of seeds that are not among them are added */
export function drawNetwork(history: RunHistory, blocks: readonly string[]): string {
  const branches = history.seeds.flatMap(branchOf);
  const unit = TASK_TRAITS[history.task].lossUnit;
  const slots = [...new Set([...blocks, ...history.seeds.map(({ slot }) => slot)])].filter((s) => s !== "");
  if (slots.length === 0) return "";
  let row = 0;
  const parts = slots.map((slot, index) => {
    const own = branches.filter(({ seed }) => seed.slot === slot);
    const top = row * ROW + 6;
    row += Math.max(1, own.length);
    const next = index < slots.length - 1 ? drawTrunk(top + BLOCK.height, row * ROW + 6) : "";
    return next + drawBlock(slot, top) + own.map((branch, i) => drawBranch(branch, unit, top, i)).join("");
  });
  const attributes = {
    class: "network",
    viewBox: `0 0 ${WIDTH} ${row * ROW}`,
    role: "img",
    "aria-label": `The network: ${slots.length} blocks; ${branches.map((branch) => inWords(branch, unit)).join("; ") || "no seeds"}`,
  };
  return element("div", { class: "card scroll" }, element("svg", attributes, parts.join("")));
}

function branchOf(seed: SeedTrack): Branch[] {
  const stage = seed.stages.at(-1)?.stage;
  if (stage === undefined || !isLiving(stage)) return [];
  return [{ seed, stage, alpha: isRemoved(stage) ? 0 : (seed.alpha.at(-1)?.value ?? 0) }];
}

/** @param unit of a loss */
function inWords({ seed, stage, alpha }: Branch, unit: string): string {
  const effect = seed.contribution.at(-1) ?? seed.shadowGain.at(-1);
  const brings = effect
    ? `, brings ${effect.value.toFixed(4)} ± ${(effect.stdErr ?? 0).toFixed(4)}${unit === "" ? "" : ` ${unit}`}`
    : "";
  return `${seed.id} (${seed.blueprint}) is ${stage}, alpha ${alpha.toFixed(2)}${brings}`;
}

function drawBlock(name: string, top: number): string {
  const box = { class: "block", x: BLOCK.x, y: top, width: BLOCK.width, height: BLOCK.height, rx: 6 };
  const text = { x: BLOCK.x + 12, y: top + 22 };
  return element("rect", box) + element("text", text, escapeText(name));
}

function drawTrunk(from: number, to: number): string {
  const x = BLOCK.x + BLOCK.width / 2;
  return element("line", { class: "trunk", x1: x, x2: x, y1: from, y2: to });
}

function drawBranch(branch: Branch, unit: string, blockTop: number, index: number): string {
  const { seed, stage, alpha } = branch;
  const top = blockTop + index * ROW;
  const from = { x: BLOCK.x + BLOCK.width, y: blockTop + BLOCK.height / 2 };
  const to = { x: SEED_X, y: top + BLOCK.height / 2 };
  const bend = (from.x + to.x) / 2;
  const path = {
    class: alpha > 0 ? "branch" : "branch idle",
    d: `M${from.x} ${from.y}C${bend} ${from.y} ${bend} ${to.y} ${to.x} ${to.y}`,
    style: `stroke:${stageColor(stage)};stroke-width:${BRANCH.least + BRANCH.more * alpha}`,
  };
  const box = {
    x: SEED_X,
    y: top,
    width: 12,
    height: BLOCK.height,
    rx: 4,
    style: `fill:${stageColor(stage)}`,
  };
  const label = `${seed.id} · ${stage} · α ${alpha.toFixed(2)}`;
  return element(
    "g",
    { "data-seed": seed.id, "data-stage": stage },
    element("title", {}, escapeText(inWords(branch, unit))) +
      element("path", path) +
      element("rect", box) +
      element("text", { x: SEED_X + 22, y: top + 14 }, escapeText(label)) +
      element("text", { class: "quiet", x: SEED_X + 22, y: top + 33 }, escapeText(seed.blueprint)),
  );
}
