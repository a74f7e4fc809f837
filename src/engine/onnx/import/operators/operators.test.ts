import { describeOperators } from "./operators.conformance.js";

describeOperators({ gradients: false });
