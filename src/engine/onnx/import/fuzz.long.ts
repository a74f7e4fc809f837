import { describeDamagedModels } from "./fuzz.conformance.js";

describeDamagedModels(10_000, 2);
