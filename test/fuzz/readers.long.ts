/** `KASMINA_FUZZ_INPUTS` and `KASMINA_FUZZ_SEED` ask for more, or for others. */
import { describeReaders } from "./readers.conformance.js";

describeReaders(Number(process.env.KASMINA_FUZZ_INPUTS ?? 5_000), Number(process.env.KASMINA_FUZZ_SEED ?? 2));
