import { describeRun } from "./train-run-suite.fixture.js";

describeRun("native");
