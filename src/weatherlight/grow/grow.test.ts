import { describeRun } from "./grow-run.fixture.js";

describeRun("native");
