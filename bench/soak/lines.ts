/** What the process of a soak reports to the one that watches it, one JSON object a line on descriptor 3, among the run's own lines. */
import type { OutcomeStatus } from "kasmina/contracts";
import type { GrowthLine } from "kasmina/weatherlight";
import type { CommandKind } from "./orders.js";

export type SoakLine =
  | { readonly type: "sent"; readonly id: string; readonly kind: CommandKind }
  | {
      readonly type: "answered";
      readonly id: string;
      readonly kind: CommandKind;
      readonly status: OutcomeStatus;
      readonly reason: string;
    }
  | {
      readonly type: "fault";
      readonly kind: "nan_batch" | "nan_memory" | "kernel_fails" | "kernel_late";
      readonly step: number;
    }
  | {
      readonly type: "held";
      readonly epoch: number;
      readonly rss_bytes: number;
      readonly heap_bytes: number;
      readonly programs: number;
      readonly compiled: number;
      readonly state_paths: number;
      readonly optimizer_entries: number;
      readonly redelivered: number;
    };

export type AnyLine = SoakLine | GrowthLine;

/** Who reads what the run prints: somebody to the end, somebody who leaves at the first step, a disk that is full. */
export const AUDIENCES = ["stays", "leaves", "full-disk"] as const;

export interface SoakOptions {
  readonly epochs: number;
  readonly seed: number;
  readonly engine: "native" | "wasm";
  /** Forged commands that come one upon the other. */
  readonly flood: number;
  readonly audience: (typeof AUDIENCES)[number];
}

/** What a soaking process is started with. */
export interface SoakStart extends SoakOptions {
  readonly runDir: string;
  readonly resume: boolean;
}
