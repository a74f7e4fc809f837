import { describeFaults } from "./faults.fixture.js";

describeFaults("wasm", [151]);
