import { describeCuts } from "./resume-cuts.fixture.js";
import { times } from "./support/full-counts.js";

describeCuts("native", times(24, 80));
