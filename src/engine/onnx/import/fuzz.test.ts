import { describeDamagedModels } from "./fuzz.conformance.js";

describeDamagedModels(60, 1);
