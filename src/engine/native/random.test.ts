import { describeRandomPrograms } from "../random-programs-compared.conformance.js";
import { createNativeBackend } from "./native-backend.js";

describeRandomPrograms("native", () => createNativeBackend({ threads: 1 }), { programs: 60, gradients: 30 });
