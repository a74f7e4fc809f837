export { type IsolationClaim, type IsolationFailure, type IsolationProof, proveIsolation } from "./proof.js";
