/**
 * The streams that the parts meet on: their topics, and the context that messages of each are signed with. What a run receives
 * has a topic of its own, so that nobody need read, or may refuse, what is another's.
 */
import { KasminaError } from "../base/errors.js";

export const STREAMS = {
  /** Signed commands to a run. */
  commands: { topic: "kasmina.commands.v1", context: "kasmina.command.v1", ofRun: true },
  /** What the policy sees, of all runs. */
  states: { topic: "kasmina.states.v1", context: "kasmina.state.v1", ofRun: false },
  /** What became of commands. */
  outcomes: { topic: "kasmina.outcomes.v1", context: "kasmina.outcome.v1", ofRun: false },
  telemetry: { topic: "kasmina.telemetry.v1", context: "kasmina.telemetry.v1", ofRun: false },
  kernelRequests: {
    topic: "kasmina.kernels.requests.v1",
    context: "kasmina.kernel_request.v1",
    ofRun: false,
  },
  /** A kernel that a run asked for is in the catalog. */
  kernelReady: { topic: "kasmina.kernels.ready.v1", context: "kasmina.kernel_ready.v1", ofRun: true },
  /** A kernel that a run asked for cannot be had. */
  kernelErrors: { topic: "kasmina.kernels.errors.v1", context: "kasmina.kernel_error.v1", ofRun: true },
} as const satisfies Readonly<
  Record<string, { readonly topic: string; readonly context: string; readonly ofRun: boolean }>
>;

export type Stream = keyof typeof STREAMS;
/** What an artifact of a catalog is vouched for with. */
export const ARTIFACT_CONTEXT = "kasmina.artifact.v1";

/** One a stream, and one for artifacts, so that a signature for one can never serve another. */
export type EnvelopeContext = (typeof STREAMS)[Stream]["context"] | typeof ARTIFACT_CONTEXT;

type RunStream = { [S in Stream]: (typeof STREAMS)[S]["ofRun"] extends true ? S : never }[Stream];

export const RUN_STREAMS: readonly RunStream[] = ["commands", "kernelReady", "kernelErrors"];

/** The group in which a run reads the streams of its own: nobody else does. */
export const RUN_GROUP = "run";

/** The topic of a stream that all share. */
export function sharedTopic(stream: Exclude<Stream, RunStream>): string {
  return STREAMS[stream].topic;
}

/**
 * The topic of a run's own: its id follows the stream's topic, percent-encoded where it is more than letters, digits and `-_.`.
 * @throws KasminaError `invalid_argument` for a blank run id
 */
export function runTopic(stream: RunStream, trainingRunId: string): string {
  if (trainingRunId.trim() === "")
    throw new KasminaError("invalid_argument", "a run without an id has no streams of its own");
  return `${STREAMS[stream].topic}/${encodeURIComponent(trainingRunId)}`;
}

/** The stream that a topic is of; undefined for any other topic. */
export function streamOf(topic: string): Stream | undefined {
  const [base = "", ...run] = topic.split("/");
  return (Object.keys(STREAMS) as Stream[]).find(
    (stream) => STREAMS[stream].topic === base && STREAMS[stream].ofRun === run.length > 0,
  );
}
