/** Paths of what a run holds: every parameter has one, and its root says who owns it. */

/** Parameters of the one frozen teacher stand under it. */
export const TEACHER_ROOT = "teacher/";
