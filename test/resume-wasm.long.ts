import { describeCuts } from "./resume-cuts.fixture.js";
import { times } from "./support/full-counts.js";

describeCuts("wasm", times(24, 120));
