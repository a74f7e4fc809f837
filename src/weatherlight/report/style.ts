/** The look of a report, in light and in dark. */

const LIGHT = {
  page: "#f6f7f9",
  card: "#ffffff",
  line: "#e3e6eb",
  text: "#1b2330",
  quiet: "#667085",
  grid: "#eceff3",
  accent: "#2f6fde",
  soft: "#9db8e8",
  alone: "#8a93a3",
  good: "#197647",
  bad: "#cf3f36",
  warn: "#955800",
};

const DARK: typeof LIGHT = {
  page: "#0f141b",
  card: "#171d26",
  line: "#28303c",
  text: "#e5e9f0",
  quiet: "#8d98a9",
  grid: "#222a35",
  accent: "#6ea2ff",
  soft: "#4a6796",
  alone: "#8d98a9",
  good: "#4cc38a",
  bad: "#f2726a",
  warn: "#e6a13c",
};

/** Stages and seeds: middling tones that stand out on both grounds. */
const SHARED = {
  unknown: "#98a2b3",
  dormant: "#98a2b3",
  germinated: "#b9a16b",
  training: "#4b91e2",
  blending: "#8c6fe0",
  shadowing: "#c678c9",
  probationary: "#e39b36",
  fossilized: "#38a169",
  culled: "#d9534a",
  embargoed: "#c4938f",
  resetting: "#98a2b3",
  terminated: "#667085",
  "seed-0": "#4b91e2",
  "seed-1": "#e39b36",
  "seed-2": "#38a169",
  "seed-3": "#d9648c",
  "seed-4": "#8c6fe0",
  "seed-5": "#2fa7a7",
  "seed-6": "#b5783f",
  "seed-7": "#8aa23a",
};

function variables(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `--${name}:${value}`)
    .join(";");
}

export const STYLE = `
:root{color-scheme:light dark;${variables({ ...LIGHT, ...SHARED })}}
@media (prefers-color-scheme:dark){:root{${variables(DARK)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:36px 20px 60px}
h1{overflow-wrap:anywhere;font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.02em}
h2{font-size:19px;margin:40px 0 12px;letter-spacing:-.01em}
h3{font-size:15px;margin:0}
.quiet{color:var(--quiet);fill:var(--quiet);font-weight:400}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 18px;margin-bottom:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:22px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px}
.tile b{display:block;font-size:22px;line-height:1.25;letter-spacing:-.02em;font-variant-numeric:tabular-nums;white-space:nowrap}
.tile>span{font-size:13px;color:var(--quiet)}
.tile small{font-size:13px}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.head{display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;margin-bottom:6px}
.head p{margin:0;font-size:13px;color:var(--quiet);flex:1 1 300px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;margin:0 0 4px;padding:0;list-style:none}
.legend li{display:flex;align-items:center;gap:6px;font-variant-numeric:tabular-nums}
.legend i{width:16px;height:0;border-top:3px solid;border-radius:2px}
.legend i.dashed{border-top-style:dashed;border-top-width:2px;border-radius:0}
.legend i.box{height:11px;border:0;border-radius:3px}
.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{font-size:12px;fill:var(--text)}
.chart text.tick{font-size:11.5px;fill:var(--quiet);font-variant-numeric:tabular-nums}
.chart text.label{font-weight:600}
.chart .quiet{fill:var(--quiet)}
.grid{stroke:var(--grid)}
.zero,.axis{stroke:var(--quiet);stroke-opacity:.55}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.dashed{stroke-dasharray:5 4}
.line.faint{stroke-width:1.5}
.band{opacity:.16}
.mark{stroke-width:1.5;stroke-opacity:.5;stroke-dasharray:2 3}
.gate{fill:var(--good)}
.gate.failed{fill:none;stroke:var(--bad);stroke-width:2.2;stroke-linecap:round}
.cross{pointer-events:none}
.cross line{stroke:var(--text);stroke-opacity:.5}
.chart .cross text{font-size:11.5px;fill:var(--quiet)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(380px,100%),1fr));gap:0 14px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--quiet);font-size:13px}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
td.wide{white-space:normal;min-width:280px}
tr:last-child td{border-bottom:0}
.number{text-align:right}
.badge{display:inline-block;border-radius:99px;padding:0 9px;font-size:12px;line-height:20px;font-weight:600;color:#fff}
details summary{cursor:pointer;color:var(--quiet);font-size:14px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:10px 0 0;font-size:14px}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:700px){main{padding:20px 12px 40px}.card{overflow-x:auto}.chart{min-width:620px}.pair .chart{min-width:0}
.chart text,.chart text.tick,.chart .cross text{font-size:17px}.pair .chart text,.pair .chart text.tick{font-size:14px}.head,.legend{position:sticky;left:0}}
@media print{body{background:none}.card,.tile{break-inside:avoid}}
.network{display:block;width:100%;max-width:760px;height:auto;min-width:460px}
.network text{font-size:13px;fill:var(--text)}.network .quiet{fill:var(--quiet)}
.block{fill:var(--page);stroke:var(--quiet)}.trunk{stroke:var(--quiet);stroke-width:2}
.branch{fill:none;stroke-linecap:round}.branch.idle{stroke-dasharray:3 5}
`;
