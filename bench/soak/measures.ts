/** The size of a soak's run: small steps, so that much happens in little time. */
export const BATCH = 50;
/** Of the spirals: 1,800 rows to learn from. */
export const stepsPerEpoch = 36;
export const RUN_ID = "soak";
