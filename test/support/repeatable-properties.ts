/** Properties try the same values in every run, so that one that fails here fails everywhere; PROPERTY_SEED tries others. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 1) });
