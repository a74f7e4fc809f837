import { describeCuts } from "./resume-cuts.fixture.js";

describeCuts("native", 80);
