/** One run, as `kasmina grow --metrics` shows it to Prometheus. */
import { messageOf } from "../../base/index.js";
import { type GrowthLine, scoreIn } from "../folder/growth-lines.js";
import { type HttpServer, parseAddress } from "./http-address.js";
import { serveHttp } from "./http-server.node.js";
import type { SeriesUpdate } from "./metric-series.js";
import { PrometheusExporter } from "./prometheus.node.js";

export interface WatchedRun extends HttpServer {
  readonly onSeries: (update: SeriesUpdate) => void;
  readonly onLine: (line: GrowthLine) => void;
}

/**
 * Serves the metrics of a run from before it begins until it is closed. Whatever fails here never reaches the run.
 * Rejects with KasminaError `invalid_argument` for an address that is none, or that cannot be listened on.
 * @param onProblem is called once
 */
export async function watchRun(address: string, onProblem: (problem: string) => void): Promise<WatchedRun> {
  const exporter = new PrometheusExporter();
  const server = await serveHttp({ "/metrics": () => exporter.render() }, parseAddress(address));
  let run: string | undefined;
  let failed = false;
  const apply = (update: SeriesUpdate): void => {
    run = update.run;
    try {
      exporter.apply(update);
    } catch (error) {
      if (!failed) onProblem(`metrics: ${messageOf(error)}`);
      failed = true;
    }
  };
  return {
    ...server,
    onSeries: apply,
    onLine: (line) => {
      if (run === undefined) return;
      if (line.type === "step" && line.phase === "grow") exporter.progress(run, { loss: line.loss });
      if (line.type === "epoch" && line.phase === "grow")
        exporter.progress(run, { heldOutLoss: line.val_loss, score: scoreIn(line) });
    },
  };
}
