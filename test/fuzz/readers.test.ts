import { describeReaders } from "./readers.conformance.js";

describeReaders(300, 1);
