/** `npm run bench -- <name> [--json] [arguments]`: runs one measurement and prints its figures. */
import type { Figures, Measurement } from "./measurement.js";

/** One file a measurement, loaded when it is asked for. */
const MEASUREMENTS: Readonly<Record<string, () => Promise<Measurement>>> = {
  commands: async () => (await import("./commands.js")).commands,
  "cross-system": async () => (await import("./cross-system/cross-system.js")).crossSystem,
  dashboard: async () => (await import("./dashboard.js")).dashboard,
  engine: async () => (await import("./engine/engine.js")).engine,
  growth: async () => (await import("./growth/growth.js")).growth,
  "host-gradient": async () => (await import("./growth/host-gradient.js")).hostGradient,
  import: async () => (await import("./import/import.js")).importing,
  isolation: async () => (await import("./isolation.js")).isolation,
  judgement: async () => (await import("./growth/judgement.js")).judgement,
  "kernel-delay": async () => (await import("./kernel-delay.js")).kernelDelay,
  overhead: async () => (await import("./overhead.js")).overhead,
  prefetch: async () => (await import("./prefetch.js")).prefetch,
  watching: async () => (await import("./watching.js")).watching,
};

function printTable(figures: Figures, indent = ""): void {
  const width = Math.max(0, ...Object.keys(figures).map((name) => name.length));
  for (const [name, figure] of Object.entries(figures)) {
    if (typeof figure === "object" && figure !== null) {
      console.log(`${indent}${name}`);
      printTable(figure, `${indent}  `);
    } else console.log(`${indent}${name.padEnd(width)}  ${figure}`);
  }
}

const [name = "", ...rest] = process.argv.slice(2);
const load = Object.hasOwn(MEASUREMENTS, name) ? MEASUREMENTS[name] : undefined;
if (load) {
  const measurement = await load();
  const figures = await measurement.run(rest.filter((argument) => argument !== "--json"));
  if (rest.includes("--json")) console.log(JSON.stringify(figures));
  else printTable(figures);
} else {
  console.error(`usage: npm run bench -- <name> [--json]; names: ${Object.keys(MEASUREMENTS).join(", ")}`);
  process.exitCode = 2;
}
