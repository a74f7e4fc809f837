/** What the isolation monitor reads and the isolation proof finds, and when it is a violation. */

/** How far one isolated seed disturbs its host. */
export interface IsolationReading {
  readonly seedId: string;
  /** ‖leak‖ / ‖host gradient‖ over the sampled coordinates below the seed; 0 where nothing leaks, else above 0. */
  readonly leakRatio: number;
  /** Cosine of the leak with the gradient that the seed's branch would send were it not detached; 0 where nothing leaks. */
  readonly cosine: number;
}

export interface IsolationLimits {
  /** Default 1e-6. */
  readonly maxLeakRatio: number;
  /** Default 0.01. */
  readonly maxCosine: number;
  /** Below it a cosine says nothing. Default 1e-9. */
  readonly negligibleLeakRatio: number;
}

/** Which limit a reading breaks; undefined where it breaks none. A leak that is not a number breaks the first. */
export function violationOf(
  { leakRatio, cosine }: IsolationReading,
  limits: IsolationLimits,
): "leak_ratio" | "cosine" | undefined {
  if (leakRatio <= limits.negligibleLeakRatio) return undefined;
  if (!(leakRatio <= limits.maxLeakRatio)) return "leak_ratio";
  return Math.abs(cosine) <= limits.maxCosine ? undefined : "cosine";
}

/** A proof that failed. */
export interface IsolationFailure {
  readonly proven: false;
  /** The seed that could disturb its host. */
  readonly seedId: string;
  /** From the input it starts at, primitive by primitive, to the value it reaches. */
  readonly path: readonly string[];
  readonly message: string;
}

/** The worst that a run's monitor has read; 0 where nothing ever leaked. */
export interface IsolationTally {
  violations: number;
  maxLeakRatio: number;
  maxCosine: number;
}

/** A run that resumes goes on with its tally; one that rolls back does not forget what it saw since. */
export function keepWorst(tally: IsolationTally, other: Readonly<IsolationTally>): void {
  tally.violations = Math.max(tally.violations, other.violations);
  tally.maxLeakRatio = Math.max(tally.maxLeakRatio, other.maxLeakRatio);
  tally.maxCosine = Math.max(tally.maxCosine, other.maxCosine);
}
