/**
 * The teacher of knowledge distillation: one frozen network whose parameters live under `teacher/`. While it is
 * registered nothing may update them, and it must fit its memory budget.
 */
import { KasminaError } from "../../base/errors.js";
import { TEACHER_ROOT } from "../../contracts/state-paths.js";
import type { TensorSpecs } from "../../contracts/tensor.js";
import { sizeOf } from "../../contracts/tensor.js";
export interface Teacher {
  readonly id: string;
  /** Paths under `teacher/`. */
  readonly paths: ReadonlySet<string>;
  readonly bytes: number;
}

/** Why an update is refused. */
export interface UpdateProblem {
  readonly reason: "teacher_immutable";
  readonly path: string;
}

const BYTES_PER_ELEMENT = { float32: 4, int32: 4, uint32: 4, bool: 1 } as const;

export class TeacherRegistry {
  readonly #budgetBytes: number;
  #teacher: Teacher | undefined;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  get teacher(): Teacher | undefined {
    return this.#teacher;
  }

  /**
   * Registers the one teacher; an earlier one is replaced, its paths with it.
   * @throws KasminaError `invalid_argument` for a path outside `teacher/`, `overloaded` over the memory budget
   */
  register(id: string, specs: TensorSpecs): Teacher {
    const paths = Object.keys(specs);
    const stray = paths.find((path) => !path.startsWith(TEACHER_ROOT));
    if (stray !== undefined)
      throw new KasminaError(
        "invalid_argument",
        `teacher parameter ${stray} must stand under ${TEACHER_ROOT}`,
      );
    const bytes = Object.values(specs).reduce(
      (sum, spec) => sum + sizeOf(spec.shape) * BYTES_PER_ELEMENT[spec.dtype],
      0,
    );
    if (bytes > this.#budgetBytes)
      throw new KasminaError(
        "overloaded",
        `teacher ${id} needs ${bytes} bytes, the memory budget is ${this.#budgetBytes}`,
        { details: { bytes, budgetBytes: this.#budgetBytes } },
      );
    this.#teacher = { id, paths: new Set(paths), bytes };
    return this.#teacher;
  }

  /** The teacher that was registered; undefined where there was none. */
  deregister(): Teacher | undefined {
    const teacher = this.#teacher;
    this.#teacher = undefined;
    return teacher;
  }

  /** Whether an update of these paths would touch the teacher. */
  updateProblem(paths: Iterable<string>): UpdateProblem | undefined {
    for (const path of paths) if (path.startsWith(TEACHER_ROOT)) return { reason: "teacher_immutable", path };
    return undefined;
  }
}
