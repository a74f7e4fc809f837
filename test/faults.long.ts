import { describeFaults } from "./faults.fixture.js";

describeFaults("wasm", [151]);
describeFaults("native", [60, 95, 96, 150, 151, 152, 153, 205, 206, 220]);
