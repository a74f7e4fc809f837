import { describeCuts } from "./resume-cuts.fixture.js";

describeCuts("wasm", 120);
